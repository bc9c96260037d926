"""Values and their places, in records: what is found, how, and what is not."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, create_model

from extractft.grounding import Span, ground
from extractft.schema import Schema, Verbatim


def find(value: Any, text: str, type_: Any = None) -> list[tuple[str, str]]:
    """The texts of the places of one value, with how they were found."""
    schema: Schema[Any] = Schema.of(create_model("Record", value=(type_ or type(value), ...)))
    spans = ground(schema, schema.canonical_value(schema.type(value=value)), text)["value"]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    return [(text[span.start : span.end], span.method) for span in spans]


# ------------------------------------------------------------------------------------------------------------- text


def test_text_that_is_written_the_same_is_exact() -> None:
    assert find("林街", "住在林街，林街5号") == [("林街", "exact")] * 2
    assert find("Elm Street", "at Elm Street.") == [("Elm Street", "exact")]
    assert find("😀👨‍👩‍👧", "x😀👨‍👩‍👧y") == [("😀👨‍👩‍👧", "exact")]
    assert find("a\r\nb", "a\r\nb") == [("a\r\nb", "exact")]


def test_absent_and_empty_values_have_no_place() -> None:
    assert find("Oak", "at Elm Street") == []
    assert find("", "text") == []
    assert find("  ", "a  b") == []
    assert find("Oak", "") == []


@pytest.mark.parametrize(
    ("value", "text", "place"),
    [
        ("ABC 123", "（ＡＢＣ　１２３）", "ＡＢＣ　１２３"),
        ("Elm Street", "ELM STREET", "ELM STREET"),
        ("Elm Street", "at Elm \r\n  Street.", "Elm \r\n  Street"),
        ("龙琳", "龙 琳", "龙 琳"),
        ("你好,世界", "你好，  世界", "你好，  世界"),
        ('the "old" one', "the “old” one", "the “old” one"),
        ("1998-2003", "in 1998–2003", "1998–2003"),
        ("Muñoz", "Munoz", "Munoz"),
        ("Munoz", "Muñoz", "Muñoz"),
        ("Lodz", "Łódź", "Łódź"),
        ("Straße", "STRASSE", "STRASSE"),
        ("ガラス", "ｶﾞﾗｽ", "ｶﾞﾗｽ"),
        ("soft", "so\u00adft", "so\u00adft"),
        ("Acme Inc.", "Acme Inc, Berlin", "Acme Inc"),
        ("١٢٣ رقم", "123 رقم", "123 رقم"),
        ("+86 138-0000-1234", "call +8613800001234 now", "+8613800001234"),
        ("13800001234", "138 0000 1234", "138 0000 1234"),
        ("2024-05-01", "on May 1, 2024", "May 1, 2024"),
        ("1234.5", "EUR 1,234.50", "1,234.50"),
    ],
)
def test_text_that_is_written_differently_is_normalized(value: str, text: str, place: str) -> None:
    assert find(value, text) == [(place, "normalized")]


def test_decomposed_text_is_found_in_its_own_characters() -> None:
    text = unicodedata.normalize("NFD", "x Café Ångström y 각")
    assert find("Café Ångström", text) == [(unicodedata.normalize("NFD", "Café Ångström"), "normalized")]
    assert find("각", text) == [(unicodedata.normalize("NFD", "각"), "normalized")]
    assert find("Cafe", unicodedata.normalize("NFD", "Café")) == [(unicodedata.normalize("NFD", "Café"), "normalized")]
    assert find("가", text) == []


def test_signs_that_mean_something_else_are_not_folded() -> None:
    assert find("102", "10² ways") == []
    assert find("1 apple", "① apple") == []
    assert find("s", "ß") == []


def test_short_words_and_numbers_are_no_parts_of_longer_ones() -> None:
    assert find("am", "the team") == []
    assert find("am", "the team, 10 AM") == [("AM", "normalized")]
    assert find("12", "312 Elm Street") == []
    assert find("apple", "apples") == [("apple", "exact")]
    assert find("art", "start art") == [("art", "exact")]
    assert find("街", "林街") == [("街", "exact")]


def test_short_words_keep_their_case() -> None:
    assert find("US", "contact us") == []
    assert find("IT", "it is") == []
    assert find("US", "in the U.S., or US") == [("US", "exact")]
    assert find("tx", "Austin, TX") == [("TX", "normalized")]
    assert find("A.", "a dog") == []
    assert find("à", "a dog") == []


def test_a_verbatim_value_always_has_its_place() -> None:
    copied: Any = Annotated[str, Verbatim()]
    assert find("12", "312 Elm Street", copied) == [("12", "exact")]
    assert find("am", "the team", copied) == [("am", "exact")]
    assert find("👩", "👩‍👧", copied) == [("👩‍👧", "normalized")]  # no place cuts an emoji: all of it
    assert find("。", "好。", copied) == [("。", "exact")]
    assert find("tea", "TEAM", Annotated[str, Verbatim(normalized=True)]) == [("TEA", "normalized")]


def test_similar_text_is_marked_as_such() -> None:
    text = "Please deliver to Jonathan Smithson, 12 Main Street"
    schema: Schema[Any] = Schema.of(create_model("Record", name=(str, ...)))
    (span,) = ground(schema, {"name": "Jonathon Smithson"}, text)["name"]
    assert text[span.start : span.end] == "Jonathan Smithson"
    assert span.method == "fuzzy"
    assert 0.9 < span.score < 1
    assert find("宁夏回族自治区瑟市城东林街", "地址：宁夏回族自治区璱市城东林街g座") == [
        ("宁夏回族自治区璱市城东林街", "fuzzy")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("13 Main Street", "12 Main Street"),
        ("Stanford University Press", "Oxford University Press"),
        ("span@example.org", "write to stao@example.org"),
        ("北京市海淀区建国路", "北京市朝阳区建国路"),
        ("seven weeks from now", "three weeks from now"),
        ("Jon", "John"),
        ("龙林", "龙琳"),
    ],
)
def test_something_else_is_not_similar(value: str, text: str) -> None:
    assert find(value, text) == []


def test_similar_text_begins_and_ends_with_a_word() -> None:
    assert find("Main Streets", "(Main Street)") == [("Main Street", "fuzzy")]
    assert find("Fairveiw Avenu", "at Fairview Avenue, 5") == [("Fairview Avenue", "fuzzy")]


def test_very_long_values() -> None:
    text = " ".join(f"word{number}" for number in range(600))
    assert find(text[100:3000], text) == [(text[100:3000], "exact")]
    assert find("x" * 3000, text) == []


# ------------------------------------------------------------------------------------------------- numbers and dates


@pytest.mark.parametrize(
    ("value", "text", "place"),
    [
        (3, "3 of 13, 5.3 and 3,000", "3"),
        (1234, "1,234", "1,234"),
        (12000, "1.2万", "1.2万"),
        (12, "十二台", "十二"),
        (320, "三百二十块", "三百二十"),
        (2, "两台", "两"),
        (2026, "二〇二六年", "二〇二六"),
        (25, "twenty-five people", "twenty-five"),
        (-5, "at -5 degrees", "-5"),
        (-5, "零下5度", "零下5"),
        (5000000, "$5 million", "5 million"),
        (3, "台灯x3", "3"),
        (4, "四（4）", "4"),
        (2024, "on 2024-05-01", "2024"),
        (5.5, "5,5 kg", "5,5"),
        (1234.5, "１２３４.５", "１２３４.５"),
        (0.15, "15%", "15%"),
        (15.0, "15%", "15"),
        (29.5, "二十九块五一台", "二十九块五"),
        (Decimal("1280.50"), "¥1,280.5元", "1,280.5"),
        (Decimal("7.00"), "7元", "7"),
        (Decimal("1234.50"), "1.234,50 €", "1.234,50"),
    ],
)
def test_numbers(value: Any, text: str, place: str) -> None:
    found = find(value, text)
    assert found
    assert found[0] == (place, "exact" if place == str(value) else "normalized")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "15 and 5.3 and 5,000 and 1.5"),
        (5, "5万5千"),
        (1, "一直没有，统一，星期一"),
        (3, "三五个人，十三个"),
        (10, "十几个，十分感谢"),
        (5, "-5"),
        (1, "2024年1月31日"),
        (30, "at 12:30"),
        (1, "no one knows, one of them"),
        (2, "version 2.3.1"),
        (5000, "5k5"),
        (4, "A4 paper"),
        (1, "call 1-800-555-0199"),
        (20, "10.20.30.40"),
    ],
)
def test_numbers_that_are_only_parts(value: int, text: str) -> None:
    assert find(value, text) == []


@pytest.mark.parametrize(
    "text",
    ["2024年5月1日", "2024/5/1", "2024.5.1", "20240501", "May 1, 2024", "1 May 2024", "1st of May, 2024", "May 1st '24",
     "二〇二四年五月一日", "24年5月1号", "01.05.2024", "２０２４年５月１日", "5/1/2024", "1-May-2024"],
)  # fmt: skip
def test_dates(text: str) -> None:
    assert find(date(2024, 5, 1), f"on {text}.") == [(text, "normalized")]
    assert find(date(2024, 5, 2), f"on {text}.") == []


def test_a_date_as_it_is_written_is_exact() -> None:
    assert find(date(2024, 5, 1), "on 2024-05-01T10:00") == [("2024-05-01", "exact")]


def test_a_date_without_its_year_needs_the_year_elsewhere() -> None:
    assert find(date(2024, 5, 1), "5月1日下单") == []
    assert find(date(2024, 5, 1), "（2024年）五月一日下单") == [("五月一日", "normalized")]
    assert find(date(2024, 5, 1), "今天是2024年5月3日，5月1日下的单") == [("5月1日", "normalized")]
    assert find(date(2024, 5, 1), "2024: we met on May 1") == [("May 1", "normalized")]
    assert find(date(2023, 5, 1), "2024: we met on May 1") == []


def test_day_and_month_in_doubt() -> None:
    assert find(date(2024, 5, 1), "01/05/2024 and 13/05/2024") == [("01/05/2024", "normalized")]
    assert find(date(2024, 1, 5), "01/05/2024 and 13/05/2024") == []
    assert find(date(2024, 5, 1), "01/05/2024 and 05/01/2024") == [], "either could be meant"


def test_dates_within_other_things() -> None:
    assert find(date(2024, 5, 1), "order DD20240501X, PO-20240501-7, IMG_20240501") == []


def test_times_and_moments() -> None:
    assert find(time(15, 30), "at 3:30 pm") == [("3:30 pm", "normalized")]
    assert find(time(15, 30), "下午三点半") == [("下午三点半", "normalized")]
    assert find(time(15, 30), "at 3:30") == []
    assert find(time(15, 30), "15:30:00") == [("15:30:00", "exact")]
    moment = datetime(2024, 5, 1, 15, 30)
    assert find(moment, "2024年5月1日下午3点30分") == [("2024年5月1日下午3点30分", "normalized")]
    assert find(moment, "May 1, 2024 at 3:30 pm") == [("May 1, 2024 at 3:30 pm", "normalized")]
    assert find(moment, "2024-05-01T15:30:00") == [("2024-05-01T15:30:00", "exact")]
    assert find(moment, "May 1, 2024. Later, much later, at 3:30 pm") == []
    assert find(datetime(2024, 5, 1), "on May 1, 2024") == [("May 1, 2024", "normalized")]
    zoned = datetime.fromisoformat("2024-05-01T15:30:00+08:00")
    assert find(zoned, "2024-05-01 15:30 +08:00") == [("2024-05-01 15:30 +08:00", "normalized")]
    assert find(zoned, "2024-05-01 15:30 +02:00") == []


def test_durations() -> None:
    assert find(timedelta(minutes=90), "90 minutes") == [("90 minutes", "normalized")]
    assert find(timedelta(minutes=90), "1 hour and 30 minutes") == [("1 hour and 30 minutes", "normalized")]
    assert find(timedelta(minutes=90), "一个半小时") == [("一个半小时", "normalized")]
    assert find(timedelta(minutes=30), "1 hour 30 minutes") == []
    assert find(timedelta(days=2), "两天") == [("两天", "normalized")]


# ------------------------------------------------------------------------------------------------------- other kinds


class Grade(str, Enum):  # noqa: UP042
    good = "good"
    not_good = "not good"
    b = "B"


def test_choices_are_found_only_as_whole_words() -> None:
    assert find("good", "it was good", Grade) == [("good", "exact")]
    assert find("good", "It was Good", Grade) == [("Good", "normalized")]
    assert find("good", "goods", Grade) == []
    assert find("B", "Grade: B", Grade) == [("B", "exact")]
    assert find("B", "plan B1", Grade) == []
    assert find("a", "a dog", Literal["a", "b"]) == []
    assert find("男", "张三，男，35岁", Literal["男", "女"]) == [("男", "exact")]
    assert find("男", "男装", Literal["男", "女"]) == []
    assert find(3, "3 stars", Literal[1, 2, 3]) == [("3", "exact")]
    assert find("pikup", "pickup", Literal["pikup"]) == []


def test_booleans_have_no_place() -> None:
    assert find(True, "true, yes, 是") == []


def test_identifiers_and_links() -> None:
    known = UUID("12345678-1234-5678-1234-567812345678")
    assert find(known, f"id {str(known).upper().replace('a', 'A')}") == [(str(known), "exact")]
    assert (
        find(UUID("abcdefab-1234-5678-1234-567812345678"), "ABCDEFAB-1234-5678-1234-567812345678")[0][1] == "normalized"
    )
    # the record has https://example.com/
    assert find(AnyUrl("https://example.com"), "see https://example.com for") == [("https://example.com", "normalized")]
    assert find(AnyUrl("https://example.com"), "see https://example.com/ now") == [("https://example.com/", "exact")]
    assert find(AnyUrl("https://example.com/a"), "see example.com/a.") == [("example.com/a", "normalized")]
    assert find(AnyUrl("https://example.com/ab"), "see https://example.com/ac") == []


# ------------------------------------------------------------------------------------------------- whole records


class Item(BaseModel):
    name: str
    quantity: int
    price: Decimal | None = None


class Order(BaseModel):
    customer: str | None = None
    email: str | None = None
    address: str | None = None
    phone: str | None = None
    question: str | None = None
    items: list[Item] = []
    tags: list[str] = []


ORDER = Schema.of(Order)


def places(value: dict[str, Any], text: str) -> dict[str, tuple[int, str]]:
    """Where the likeliest place of each leaf begins, and its text."""
    found = ground(ORDER, value, text)
    return {path: (spans[0].start, text[spans[0].start : spans[0].end]) for path, spans in found.items() if spans}


def test_a_number_in_an_address_and_as_quantity() -> None:
    text = "我住林街5号楼，订购台灯5台"
    value = {"address": "林街5号楼", "items": [{"name": "台灯", "quantity": 5}]}
    assert places(value, text)["items.0.quantity"] == (text.rindex("5"), "5")
    unsaid = {"items": [{"name": "台灯", "quantity": 5}]}
    assert places(unsaid, text)["items.0.quantity"] == (text.rindex("5"), "5")


def test_equal_items_get_the_first_and_the_second_place() -> None:
    text = "tea 2 cups, cake 1, tea 2 cups"
    items = [{"name": "tea", "quantity": 2}, {"name": "cake", "quantity": 1}, {"name": "tea", "quantity": 2}]
    found = places({"items": items}, text)
    assert [found[f"items.{i}.name"][0] for i in range(3)] == [0, 12, 20]
    assert [found[f"items.{i}.quantity"][0] for i in range(3)] == [4, 17, 24]
    assert [found_at for found_at, _ in places({"tags": ["a1", "b2", "a1"]}, "a1 b2 a1").values()] == [0, 3, 6]


def test_equal_values_of_items_swap_into_the_order_of_the_text() -> None:
    text = "订购显示器 三 台，每台2762元；羽毛球3筒，每筒27元"
    items = [{"name": "显示器", "quantity": 3, "price": "2762"}, {"name": "羽毛球", "quantity": 3, "price": "27"}]
    found = places({"items": items}, text)
    assert found["items.0.quantity"] == (text.index("三"), "三")
    assert found["items.1.quantity"] == (text.index("3"), "3")


def test_a_name_in_the_body_and_in_the_signature() -> None:
    body = "Dear sirs, my neighbour told Ann Lee that nobody answers, which Ann Lee finds sad.\n\n"
    text = body + "Ann Lee\n12 Elm Street\nann@example.com"
    value = {"customer": "Ann Lee", "address": "12 Elm Street", "email": "ann@example.com"}
    assert places(value, text)["customer"] == (len(body), "Ann Lee")


def test_a_value_within_another_one_is_the_last_resort() -> None:
    text = "Smith Street 5, says Smith"
    assert places({"customer": "Smith", "address": "Smith Street 5"}, text)["customer"] == (21, "Smith")
    assert places({"customer": "Smith", "address": "Smith Street 5"}, text[:14])["customer"] == (0, "Smith")


def test_whole_words_come_first() -> None:
    spans = ground(ORDER, {"customer": "Anna"}, "Annabel knows Anna")["customer"]
    assert [span.start for span in spans] == [14, 0]


def test_all_places_are_given() -> None:
    spans = ground(ORDER, {"customer": "Ann"}, "Ann, Ann and Ann")["customer"]
    assert spans == tuple(Span(start, start + 3, "exact") for start in (0, 5, 13))


def test_nulls_and_empty_parts_are_no_leaves() -> None:
    full = Schema.of(Order, omit_defaults=False)
    record = Order(customer="Ann", items=[Item(name="tea", quantity=1)])
    found = ground(full, full.canonical_value(record), "Ann: tea")
    assert list(found) == ["customer", "items.0.name", "items.0.quantity"]
    assert found["items.0.quantity"] == ()


def test_fields_go_by_their_names() -> None:
    from pydantic import Field

    class Aliased(BaseModel):
        number: str = Field(alias="发票号码")
        more: dict[str, int] = {}

    schema = Schema.of(Aliased)
    assert list(ground(schema, {"发票号码": "A1", "more": {"x y": 2}}, "A1")) == ["number", "more.x y"]


def test_roots_that_are_no_objects() -> None:
    assert ground(Schema.of(list[str]), ["b", "a"], "a b") == {"0": (Span(2, 3, "exact"),), "1": (Span(0, 1, "exact"),)}
    assert ground(Schema.of(int), 5, "x 5") == {"": (Span(2, 3, "exact"),)}
