from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from extractft.config import PromptConfig
from extractft.errors import PromptError
from extractft.prompt import detect_language, render_system_prompt, template_rendering
from extractft.prompt.system_prompt import _variables
from extractft.schema import Schema


class Restaurant(BaseModel):
    restaurant_name: str | None = None
    restaurant_type: str | None = None
    city: str | None = None
    cuisine: str | None = None
    party_size: int | None = None


class Complaint(BaseModel):
    """市民向社区反映的问题。"""

    name: str = Field(description="投诉人姓名")
    address: str = Field(description="详细地址")
    email: str | None = Field(None, description="邮箱")
    urgency: Literal["低", "中", "高"] = Field(description="紧急程度")
    reported: date | None = Field(None, description="反映日期")


class Address(BaseModel):
    """A postal address."""

    street: str
    zip: Annotated[str, Field(pattern=r"^\d{5}$")] | None = None


class Line(BaseModel):
    description: str = Field(max_length=20)
    price: Decimal = Field(description="Price of one\n   piece")
    quantity: Annotated[int, Field(ge=1, le=99)] = 1


class Card(BaseModel):
    """Paid by card."""

    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    currency: Literal["EUR", "USD"] = "EUR"


class Order(BaseModel):
    """An order of a shop.

    One document holds one order.
    """

    lines: Annotated[list[Line], Field(min_length=1)]
    bill_to: Address
    ship_to: Address | None = None
    payment: Annotated[Card | Cash, Field(discriminator="kind")]
    ordered: date | datetime
    tags: set[str] = Field(default_factory=set, max_length=3)
    amounts: dict[str, float] = {}
    corner: tuple[int, int] | None = None
    rating: Annotated[float, Field(gt=0, lt=5)] | None = None
    paid: bool
    note: str | None


class Category(BaseModel):
    title: str
    children: list[Category] = []


def prompt(type_: Any, *, omit_defaults: bool = True, **config: Any) -> str:
    return render_system_prompt(Schema.of(type_, omit_defaults=omit_defaults), PromptConfig(**config))


def test_flat_english() -> None:
    assert (
        prompt(Restaurant)
        == """\
Extract a record from the user's text. Answer only with one JSON object.
Copy values as they are written in the text, unless their type asks for another form. Leave out fields that the text does not give.

Fields (text unless noted):
- restaurant_name
- restaurant_type
- city
- cuisine
- party_size (whole number)"""
    )


def test_flat_english_with_nulls_written() -> None:
    assert prompt(Restaurant, omit_defaults=False) == prompt(Restaurant).replace("Leave out", "Write null for")


def test_chinese() -> None:
    assert (
        prompt(Complaint)
        == """\
从用户的文本中提取信息，只回答一个 JSON 对象。
市民向社区反映的问题。
照抄原文，不要改写，类型另有要求的除外。文本中没有的可缺字段省略。

字段（未注明的为文本）：
- name：投诉人姓名
- address：详细地址
- email（可缺）：邮箱
- urgency（"低"、"中"、"高" 之一）：紧急程度
- reported（日期 YYYY-MM-DD，可缺）：反映日期"""
    )


def test_nested() -> None:
    assert (
        prompt(Order)
        == r"""Extract a record from the user's text. Answer only with one JSON object.
An order of a shop.

One document holds one order.
Copy values as they are written in the text, unless their type asks for another form. Leave out optional fields that the text does not give.

Fields (text unless noted):
- lines (list of objects, at least 1 item)
  - description (at most 20 characters)
  - price (decimal number): Price of one piece
  - quantity (whole number, 1 to 99, default 1)
- bill_to (Address object): A postal address.
  - street
  - zip (pattern ^\d{5}$, optional)
- ship_to (Address object as above, optional)
- payment (one of the following, told apart by kind)
  1. Card object: Paid by card.
    - kind (always "card")
    - number
  2. Cash object
    - kind (always "cash")
    - currency (one of "EUR", "USD", default "EUR")
- ordered (date YYYY-MM-DD or date and time YYYY-MM-DDTHH:MM:SS)
- tags (list of texts, at most 3 items, no repeats, optional)
- amounts (object from texts to numbers, optional)
- corner (list [whole number, whole number], optional)
- rating (number, more than 0, less than 5, optional)
- paid (true/false)
- note (text or null)"""
    )


def test_recursion_is_named_once() -> None:
    assert prompt(Category).endswith("""\
Answer only with one JSON Category object.
Copy values as they are written in the text. Leave out optional fields that the text does not give.

Fields (text unless noted):
- title
- children (list of Category objects as above, optional)""")


def test_list_at_the_root() -> None:
    assert prompt(list[Complaint]).splitlines()[0] == "从用户的文本中按顺序提取所有记录，只回答一个 JSON 对象列表。"
    assert "- name：投诉人姓名" in prompt(list[Complaint])
    assert (
        prompt(list[Address])
        == r"""Extract all records from the user's text, in its order. Answer only with one JSON list of objects.
Copy values as they are written in the text. Leave out optional fields that the text does not give.

Fields (text unless noted):
- street
- zip (pattern ^\d{5}$, optional)"""
    )


def test_value_at_the_root() -> None:
    assert (
        prompt(Annotated[int, Field(ge=0)])
        == """\
Extract a value from the user's text. Answer only with one JSON value: whole number (at least 0).
Copy values as they are written in the text, unless their type asks for another form."""
    )


def test_union_at_the_root() -> None:
    text = prompt(Card | Address)
    assert "Answer only with one JSON value: one of the following." in text
    assert "The following (text unless noted):\n1. Card object: Paid by card.\n  - kind" in text
    assert "\n2. Address object: A postal address.\n  - street" in text


def test_tuples_of_objects_are_numbered() -> None:
    class Route(BaseModel):
        ends: tuple[Card, Cash]

    assert prompt(Route).endswith("""\
Fields (text unless noted):
- ends (list of the following in this order)
  1. object: Paid by card.
    - kind (always "card")
    - number
  2. object
    - kind (always "cash")
    - currency (one of "EUR", "USD", default "EUR")""")


def test_nested_in_chinese() -> None:
    assert prompt(Order, language="zh").endswith(r"""字段（未注明的为文本）：
- lines（对象列表，至少 1 项）
  - description（至多 20 个字符）
  - price（小数）：Price of one piece
  - quantity（整数，1 到 99，默认 1）
- bill_to（Address 对象）：A postal address.
  - street
  - zip（格式 ^\d{5}$，可缺）
- ship_to（Address 对象（同上），可缺）
- payment（以下之一，以 kind 区分）
  1. Card 对象：Paid by card.
    - kind（固定为 "card"）
    - number
  2. Cash 对象
    - kind（固定为 "cash"）
    - currency（"EUR"、"USD" 之一，默认 "EUR"）
- ordered（日期 YYYY-MM-DD 或 日期时间 YYYY-MM-DDTHH:MM:SS）
- tags（文本列表，至多 3 项，不重复，可缺）
- amounts（映射 文本 → 数字，可缺）
- corner（列表 [整数、整数]，可缺）
- rating（数字，大于 0，小于 5，可缺）
- paid（true/false）
- note（文本 或 null）""")


def test_the_smaller_part_is_marked() -> None:
    class Mostly(BaseModel):
        a: str
        b: str | None = None
        c: str | None = None
        d: int = 3

    assert prompt(Mostly).endswith("- a (required)\n- b\n- c\n- d (whole number, default 3)")
    written = prompt(Mostly, omit_defaults=False)
    assert written.endswith("- a\n- b (text or null)\n- c (text or null)\n- d (whole number, default 3)")


def test_nothing_is_said_about_absence_where_nothing_may_be_absent() -> None:
    class Strict(BaseModel):
        a: str
        b: str

    assert prompt(Strict).endswith("as they are written in the text.\n\nFields (text unless noted):\n- a\n- b")


@pytest.mark.real
def test_a_plain_field_costs_few_tokens(qwen3_tokenizer: Any) -> None:
    fields: dict[str, Any] = {f"field_{chr(97 + i)}": (str | None, None) for i in range(20)}
    from pydantic import create_model

    def tokens(count: int) -> int:
        some = dict(list(fields.items())[:count])
        return len(qwen3_tokenizer.encode(prompt(create_model("Some", **some))))

    assert (tokens(20) - tokens(10)) / 10 <= 5
    assert tokens(1) <= 60


def test_language_can_be_forced() -> None:
    assert prompt(Complaint, language="en").startswith("Extract a record")
    assert prompt(Restaurant, language="zh").startswith("从用户的文本中提取信息")


def test_instructions_stand_before_the_fields() -> None:
    text = prompt(Restaurant, instructions="Prices are in euros.\n")
    assert "\nPrices are in euros.\n\nFields" in text


@pytest.mark.parametrize(
    ("description", "language"),
    [
        ("姓名", "zh"),
        ("E-mail 地址", "zh"),
        ("Full name of the person, e.g. 龙琳", "en"),
        ("氏名をここに書く", "en"),
        ("이름 姓名", "en"),
        ("Name", "en"),
    ],
)
def test_language_of_descriptions(description: str, language: str) -> None:
    class Record(BaseModel):
        name: str = Field(description=description)

    assert detect_language(Schema.of(Record)) == language


def test_language_of_keys_docstrings_and_values() -> None:
    class Keys(BaseModel):
        姓名: str
        地址: str

    class Docstring(BaseModel):
        """收件人信息"""

        full_name: str
        street_address: str

    class Values(BaseModel):
        grade: Literal["优秀", "良好", "较差"]

    class Nested(BaseModel):
        items: list[Docstring]

    for type_ in (Keys, Docstring, Values, Nested, list[Keys], dict[str, Keys]):
        assert detect_language(Schema.of(type_)) == "zh", type_
    assert detect_language(Schema.of(Restaurant)) == "en"
    assert detect_language(Schema.of(int)) == "en"


def test_own_template() -> None:
    source = """\
{{ schema_name }} [{{ language }}] {{ root }}: {{ description }}
{% for field in fields %}
{{ field.key }}|{{ field.type }}|{{ field.details | join("; ") }}|{{ field.optional }}|{{ field.description }}
{% endfor %}
{% include "fields.jinja" %}
"""
    assert (
        prompt(Complaint, template=source)
        == """\
Complaint [zh] object: 市民向社区反映的问题。
name|||False|投诉人姓名
address|||False|详细地址
email||可缺|True|邮箱
urgency|"低"、"中"、"高" 之一||False|紧急程度
reported|日期 YYYY-MM-DD|可缺|True|反映日期
- name：投诉人姓名
- address：详细地址
- email（可缺）：邮箱
- urgency（"低"、"中"、"高" 之一）：紧急程度
- reported（日期 YYYY-MM-DD，可缺）：反映日期"""
    )


def test_own_template_is_not_escaped() -> None:
    assert prompt(Restaurant, template="<b>{{ '<&>' }}</b>") == "<b><&></b>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("ok\n{% if %}", "syntax error in line 2"),
        ("ok\n\n{{ nam }}", "UndefinedError in line 3: 'nam' is undefined"),
        ("{{ fields[0].nope }}", "UndefinedError in line 1"),
        ("ok\n{{ 1 / 0 }}", "ZeroDivisionError in line 2"),
        ("{{ fields.__class__.__mro__ }}", "SecurityError in line 1"),
        ("{% include 'nope.jinja' %}", "TemplateNotFound in line 1"),
        (" \n", "writes nothing"),
    ],
)
def test_template_errors_name_the_line(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        prompt(Restaurant, template=template)
    assert "PromptConfig.template" in caught.value.__notes__[0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(40) }}",
        "{{ lipsum(n=10**6) }}",
        "{{ range(100001) | list }}",
    ],
)
def test_templates_without_end_are_stopped(template: str) -> None:
    with pytest.raises(PromptError) as caught:
        prompt(Restaurant, template="Extract." + template)
    assert "PromptConfig.template" in caught.value.__notes__[0]


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="elsewhere time alone is bounded")
@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x' * 10**9 }}",
        "{{ [0] * 10**9 }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'x' | center(10**9) }}",
        "{{ ('x' * 10**7,) * 100 | list | join('y') }}",
        "{{ ('a' * 10000).replace('a', 'b' * 100000) | length }}",
        "{{ (10**10)**(10**8) }}",
        "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | length }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
        "{{ 'x' * 10**6 }}y",
        "{% for i in description %}{% for j in description %}{% for k in description %}{{ description }}"
        "{% endfor %}{% endfor %}{% endfor %}",
    ],
)
def test_templates_that_make_something_huge_are_stopped(template: str) -> None:
    class Described(BaseModel):
        name: str

    Described.__doc__ = "d" * 100
    with pytest.raises(PromptError) as caught:
        prompt(Described, template=template)
    assert "PromptConfig.template" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "template",
    [
        "{% set names = fields | map(attribute='key') | join(', ') %}{{ schema_name }}: {{ names }}",
        "{% macro line(f) %}- {{ f.key.upper() }}{% endmacro %}{% for f in fields %}{{ line(f) }}\n{% endfor %}",
        "{{ words.comma.join(['a', 'b']) }} {{ 'x' * 3 }} {{ language }}",
    ],
)
def test_a_template_that_computes_gives_what_it_would_here(template: str) -> None:
    schema: Schema[Any] = Schema.of(Restaurant)
    variables = _variables(schema, PromptConfig(language="en"))
    assert not template_rendering._only_prints(template)
    assert prompt(Restaurant, template=template, language="en") == template_rendering._render_here(template, variables)


def test_a_template_that_prints_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_rendering.subprocess, "run", None)
    own = "{% if description %}{{ description }}{% endif %}{% for field in fields %}\n- {{ field.key }}{% endfor %}"
    assert "- city" in prompt(Restaurant, template=own)
    assert prompt(Restaurant, template="{% include 'fields.jinja' %}")


def test_a_large_schema_stays_within_the_limit() -> None:
    fields: Any = {f"field_{number}": (str | None, Field(None, description="x" * 50)) for number in range(2000)}
    large = create_model("Large", **fields)
    own = "{% for field in fields %}{{ loop.index }} {{ field.key }}\n{% endfor %}{% include 'fields.jinja' %}"
    assert prompt(large, template=own).count("field_1999") == 2


def test_a_literal_that_may_be_absent_is_marked() -> None:
    class Flagged(BaseModel):
        name: str
        seal: Literal["stamped"] | None = None
        version: Literal[1] = 1

    assert prompt(Flagged).endswith('- name\n- seal (always "stamped", optional)\n- version (always 1)')


def test_long_enumerations_are_shown_in_part() -> None:
    class Where(BaseModel):
        city: Enum("City", {f"v{i}": f"city number {i}" for i in range(3000)}, type=str)  # type: ignore[valid-type]
        codes: list[Literal[tuple(range(101))]] = []  # type: ignore[valid-type]
        whole: Literal[tuple(range(100))] = 0  # type: ignore[valid-type]
        endless: Literal["x" * 1500, "y" * 1500] | None = None
        kept: str = "z" * 500

    english, chinese = prompt(Where, language="en"), prompt(Where, language="zh")
    assert 'city (one of "city number 0", "city number 1", ' in english
    assert '"city number 16" ... (3000 values in all), required)' in english
    assert '"city number 1"、' in chinese
    assert "……（共 3000 个值） 之一" in chinese
    assert (
        "codes (list of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 ... (101 values in all))"
        in english
    )
    assert ", 98, 99" in english
    assert "endless (one of ... (2 values in all))" in english
    assert "zzz" not in english
    assert len(english) < 2000
    assert len(chinese) < 2000
