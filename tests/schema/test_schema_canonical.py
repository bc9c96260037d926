"""The one canonical form: what is written, what is refused, and how it is read."""

import enum
import json
import os
import subprocess
import sys
from collections import deque
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    computed_field,
    field_serializer,
)
from schema_zoo import Aliases, Box, Cat, Color, Containers, Defaults, Home, Item, Order, Plain, Rich, Tree, Unions

from extractft.errors import SchemaError
from extractft.schema import Schema
from extractft.schema.string_formats import Unwritable, duration_text, float_text, time_text


def canonical(value: Any, type_: Any = None, **options: Any) -> str:
    return Schema.of(type_ or type(value), **options).canonical_json(value)


def test_compact_in_field_order_without_ascii_escapes() -> None:
    tree = Tree(children=[Tree(value=2)], value=1)
    assert canonical(tree) == '{"value":1,"children":[{"value":2}]}'
    assert canonical(tree, omit_defaults=False) == '{"value":1,"children":[{"value":2,"children":[]}]}'
    assert canonical("龙琳\x7f\n\u2028", str) == '"龙琳\\u007f\\n\u2028"'


def test_validation_aliases_are_written() -> None:
    made = Schema.of(Aliases).parse_value({"plain": 1, "Fixed Name": "f", "in": 2, "first": "c"})
    assert canonical(made) == '{"PLAIN":1,"Fixed Name":"f","in":2,"first":"c"}'


def test_computed_fields_and_serialisers_are_not_written() -> None:
    class M(BaseModel):
        n: int = Field(serialization_alias="N")
        hidden: str = Field(exclude=True)
        _private: int = PrivateAttr(default_factory=lambda: object())  # type: ignore[assignment]

        @computed_field
        @property
        def double(self) -> int:
            return 2 * self.n

        @field_serializer("n")
        def _shown(self, value: int) -> str:
            return f"#{value}"

    assert canonical(M(n=1, hidden="h")) == '{"n":1,"hidden":"h"}'


def test_sets_are_sorted_whatever_the_hash_seed() -> None:
    code = (
        "from extractft.schema import Schema; import sys; sys.path.insert(0, sys.argv[1])\n"
        "print(Schema.of(set[str]).canonical_json({'b', 'a', '龙', 'c'}), Schema.of(set[int]).canonical_json({10, 9, -1}))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, "."],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert outputs == {'["a","b","c","龙"] [-1,9,10]\n'}


def test_absence_has_one_spelling() -> None:
    assert canonical(Defaults(ident=Schema.of(Defaults).parse("{}").ident)).startswith('{"ident":"')
    schema = Schema.of(Defaults)
    made = schema.parse('{"ident":"12345678-1234-4234-8234-123456789abc","text":"x","flag":true,"tags":[]}')
    assert schema.canonical_json(made) == '{"ident":"12345678-1234-4234-8234-123456789abc"}'
    full = schema.full_value(made)
    assert full["text"] == "x"
    assert full["wrong"] is None
    assert full["pair"] == [1, 2]
    assert list(full) == [field.key for field in schema.tree.fields]  # type: ignore[union-attr]


def test_booleans_are_not_the_numbers_they_equal() -> None:
    class M(BaseModel):
        value: int | bool = True

    assert canonical(M(value=1)) == '{"value":1}'
    assert canonical(M(value=True)) == "{}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(5.0, "5.0"), (1e22, "1" + "0" * 22 + ".0"), (1e-7, "0.0000001"), (0.1, "0.1"), (-2.5e-5, "-0.000025")],
)
def test_floats_have_no_exponent(value: float, text: str) -> None:
    assert float_text(value) == text
    assert canonical(value, float) == text


def test_small_things() -> None:
    assert canonical(-0.0, float) == "0.0"
    assert canonical(Decimal("12.50"), Decimal) == '"12.50"'
    assert canonical(Decimal("1E+3"), Decimal) == '"1000"'
    assert canonical(Decimal("-0.0"), Decimal) == '"0.0"'
    assert duration_text(timedelta(days=400, hours=5, microseconds=500)) == "P400DT5H0.0005S"
    assert duration_text(timedelta(0)) == "PT0S"
    assert duration_text(-timedelta(seconds=1.5)) == "-PT1.5S"
    assert canonical(datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1))), datetime) == '"2023-12-31T23:59:59Z"'
    assert canonical(datetime(2024, 1, 1, 1, tzinfo=UTC), datetime) == '"2024-01-01T01:00:00Z"'
    assert canonical(deque([1, 2]), deque[int]) == "[1,2]"
    with pytest.raises(Unwritable):
        time_text(time(1, tzinfo=timezone(timedelta(seconds=1))))


@pytest.mark.parametrize(
    "span", [timedelta(days=400, seconds=7, microseconds=30), -timedelta(days=3), timedelta(seconds=90)]
)
def test_durations_agree_with_pydantic(span: timedelta) -> None:
    adapter = TypeAdapter(timedelta)
    assert adapter.validate_json(canonical(span, timedelta)) == span


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", Decimal("nan")])
def test_what_json_cannot_hold(value: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        canonical({"k": value}, dict[str, type(value)])
    assert caught.value.path == "*"  # keys of mappings are data, and stay out of messages


def test_a_record_has_to_be_one() -> None:
    schema = Schema.of(Order)
    with pytest.raises(SchemaError, match="expected Order, found Item"):
        schema.canonical_json(Item(name="a", price=1))  # type: ignore[arg-type]
    broken = Order.model_construct(items=[Item.model_construct(name="秘密", price=Decimal(-1))])
    with pytest.raises(SchemaError, match="greater_than_equal") as caught:
        schema.canonical_json(broken)
    assert caught.value.path == "items.0.price"
    assert "秘密" not in str(caught.value)
    with pytest.raises(SchemaError) as missing:
        schema.canonical_json(Order.model_construct())
    assert missing.value.path == "items"


def test_messages_do_not_quote_the_record() -> None:
    broken = {"秘密": [Item.model_construct(name="密", price=Decimal(-1))]}
    with pytest.raises(SchemaError) as caught:
        canonical(broken, dict[str, list[Item]])
    assert caught.value.path == "*.0.price"
    assert "密" not in str(caught.value)


def test_fields_of_a_subclass_would_be_lost() -> None:
    class Special(Item):
        extra: int = 0

    with pytest.raises(SchemaError, match="Special"):
        canonical([Special(name="a", price=1)], list[Item])


def test_extra_keys_would_be_lost() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: int

    assert canonical(Open(a=1)) == '{"a":1}'
    with pytest.raises(SchemaError, match="extra"):
        canonical(Open(a=1, b=2))  # type: ignore[call-arg]


def test_a_validator_that_does_not_settle_is_found() -> None:
    class Growing(BaseModel):
        n: Annotated[int, AfterValidator(lambda n: n + 1)]

    with pytest.raises(SchemaError, match="changes when"):
        canonical(Growing(n=1))


def test_unions_write_the_option_that_the_value_is() -> None:
    schema = Schema.of(Home)
    text = '{"pet":{"kind":"bird"},"pets":[{"kind":"fowl"},{"kind":"dog","cat":{"kind":"cat"}}]}'
    assert schema.canonical_json(schema.parse(text)) == text
    unions = Schema.of(Unions)
    made = unions.parse_value(
        {
            "plain": "1",
            "numeric": 1,
            "when": None,
            "shape": {"b": 0},
            "either": {"a": 1},
            "logical": 1,
            "tagged": {"a": 1},
            "left": 1,
        }
    )
    value = unions.canonical_value(made)
    assert (value["plain"], value["shape"], value["either"]) == ("1", {"b": 0, "note": None}, {"a": 1, "note": None})
    assert value["logical"] is not True


def test_enumerations_and_their_values() -> None:
    class M(BaseModel):
        model_config = ConfigDict(use_enum_values=True)
        color: Color

    assert canonical(M(color=Color.BLUE)) == '{"color":"蓝"}'

    class Bad(enum.Enum):
        A = (1, 2)

    with pytest.raises(SchemaError, match="Bad"):
        Schema.of(Bad)


def test_known_keys_of_mappings_are_written_in_their_order() -> None:
    assert canonical({"a": 1, "b": 2}, dict[Literal["b", "a"], int]) == '{"b":2,"a":1}'
    assert canonical({True: 1}, dict[bool, int]) == '{"true":1}'
    assert canonical({3: 1}, dict[int, int]) == '{"3":1}'


def test_plain_classes() -> None:
    schema = Schema.of(Plain)
    text = '{"rich":{"NAME":"n","POINT":{"X":1}},"movie":{"title":"t"},"loose":{"b":""},"pair":{"left":1}}'
    made = schema.parse(text)
    assert schema.canonical_json(made) == text
    assert isinstance(made.rich, Rich)
    assert schema.full_value(made)["movie"] == {"title": "t", "year": None}
    assert schema.parse_value({**json.loads(text), "pair": [1, "r"]}) == made


def test_parse_takes_text_and_parse_value_takes_names_too() -> None:
    schema = Schema.of(Rich)
    assert schema.parse('{"NAME":"a"}') == Rich(NAME="a")  # type: ignore[call-arg]
    assert schema.parse_value({"name": "a", "SIZE": 2}).size == 2
    with pytest.raises(ValidationError):
        schema.parse("{")
    with pytest.raises(ValidationError):
        schema.parse_value({"size": 9, "name": "a"})
    assert Schema.of(Cat).parse_value(Cat(lives=3)) == Cat(lives=3)
    with pytest.raises(SchemaError):
        Schema.of(Cat).parse_value({"lives": object()})


def test_generic_instances_made_without_parameters() -> None:
    assert canonical(Box(content=1), Box[int]) == '{"content":1}'


def test_containers_keep_the_order_of_lists() -> None:
    schema = Schema.of(Containers)
    value = {
        "names": ["b", "a"],
        "unique": ["good"],
        "numbers": [3, 1],
        "decimals": ["1.0"],
        "pair": [1, "x"],
        "many": [1.0],
        "nothing": [],
        "queue": [2, 1],
        "order": ["o"],
        "at_least": [1],
        "two": ["b"],
    }
    made = schema.parse_value(value)
    assert schema.canonical_value(made) == {**value, "numbers": [1, 3]}
