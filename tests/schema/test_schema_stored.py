"""Schemas without their classes: stored, rebuilt, compared."""

import copy
import json
import pickle
import subprocess
import sys
from datetime import date
from typing import Annotated, Any, Literal, NotRequired

import pytest
from pydantic import BaseModel, Field
from schema_zoo import Defaults, Home, Item, Nest, Order, Tree
from typing_extensions import TypedDict

from extractft.errors import SchemaError
from extractft.schema import MISSING, Schema, StringNode
from extractft.schema.tree_serialisation import node_from_dict, node_to_dict


def stored(schema: Schema[Any]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(schema.to_dict()))
    return data


def test_the_fingerprint_covers_shape_and_not_words() -> None:
    def model(**field: Any) -> Any:
        class M(BaseModel):
            a: int = Field(**field)

        return M

    base = Schema.of(model()).fingerprint
    assert len(base) == 64
    assert Schema.of(model(description="words")).fingerprint == base
    others = [model(alias="b"), model(ge=0), model(default=1)]
    prints = {Schema.of(other).fingerprint for other in others} | {Schema.of(model(), omit_defaults=False).fingerprint}
    assert len(prints | {base}) == 5


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    assert Schema.of(Item).fingerprint == "6e8f704c7e208007dd28bb5b255aa1473403a332a32dd2f155e7b9308ff62d17"


def test_the_order_of_fields_counts() -> None:
    class A(BaseModel):
        a: int
        b: int

    class B(BaseModel):
        b: int
        a: int

    B.__name__ = "A"
    assert Schema.of(A).fingerprint != Schema.of(B).fingerprint


def test_rebuilt_classes_carry_words_defaults_and_constraints() -> None:
    rebuilt = Schema.from_dict(stored(Schema.of(Order)))
    assert rebuilt.name == "Order"
    item = rebuilt.parse('{"items":[{"name":"a","price":"1.5"}]}').items[0]
    assert type(item).model_fields["name"].description == "What it is"
    assert type(item).__doc__ == Item.__doc__.strip().replace("\n    ", "\n") if Item.__doc__ else False
    with pytest.raises(ValueError, match="price"):
        rebuilt.parse('{"items":[{"name":"a","price":"-1.5"}]}')
    defaults = Schema.from_dict(stored(Schema.of(Defaults))).parse("{}")
    assert (defaults.text, defaults.tags, defaults.ident, defaults.wrong) == ("x", [], None, None)
    assert str(defaults.money) == "0.00"


def test_rebuilt_recursion_and_unions() -> None:
    tree = Schema.from_dict(stored(Schema.of(Tree)))
    made = tree.parse('{"value":1,"children":[{"value":2}]}')
    assert type(made.children[0]) is type(made)
    home = Schema.from_dict(stored(Schema.of(Home)))
    text = '{"pets":[{"kind":"dog"},{"kind":"cat","lives":3}]}'
    assert home.canonical_json(home.parse(text)) == text


def test_other_roots() -> None:
    schema: Schema[Any] = Schema.of(list[Item] | None)
    rebuilt = Schema.from_dict(stored(schema))
    assert rebuilt.name == schema.name
    assert rebuilt.canonical_json(rebuilt.parse('[{"name":"a","price":"1"}]')) == '[{"name":"a","price":"1"}]'


@pytest.mark.parametrize(
    "data", [{}, {"tree": 3}, {"tree": {"kind": "alien"}}, [], {"tree": {"kind": "string", "x": 1}}]
)
def test_something_else_is_no_stored_schema(data: Any) -> None:
    with pytest.raises(SchemaError):
        Schema.from_dict(data)


def test_a_changed_fingerprint_is_refused() -> None:
    data = stored(Schema.of(Item))
    data["fingerprint"] = "0" * 64
    with pytest.raises(SchemaError, match="fingerprint"):
        Schema.from_dict(data)


def test_nodes_store_what_is_not_default() -> None:
    node = Schema.of(Literal["a", None]).tree
    assert node_to_dict(node) == {"kind": "literal", "values": ["a", None]}
    assert node_from_dict(node_to_dict(node)) == node


class Typed(TypedDict):
    name: str
    age: NotRequired[int | None]


def roundtrip(type_: Any, **options: Any) -> Schema[Any]:
    schema: Schema[Any] = Schema.of(type_, **options)
    schema.require_loadable()
    return Schema.from_dict(stored(schema))


def test_defaults_that_the_constraints_refuse_are_kept() -> None:
    class Odd(BaseModel):
        code: str = Field("", pattern="^[A-Z]+$")
        count: int = Field(-1, ge=0)
        day: date = Field(date(1900, 1, 1), ge=date(2000, 1, 1))
        tags: list[str] = Field([], min_length=1)

    rebuilt = roundtrip(Odd)
    assert rebuilt.parse("{}").model_dump() == Odd().model_dump()
    assert rebuilt.canonical_json(rebuilt.parse("{}")) == "{}"
    with pytest.raises(ValueError, match="count"):
        rebuilt.parse('{"count":-2}')


def test_absence_stays_beside_null() -> None:
    class Factory(BaseModel):
        n: int | None = Field(default_factory=lambda: 1)

    assert pickle.loads(pickle.dumps(MISSING)) is copy.deepcopy(MISSING) is MISSING
    for rebuilt, text in (
        (roundtrip(Typed), '{"name":"a"}'),
        (roundtrip(Typed, omit_defaults=False), '{"name":"a"}'),
        (roundtrip(Factory), "{}"),
    ):
        record = rebuilt.parse(text)
        assert rebuilt.canonical_json(record) == text
        assert record.model_dump_json() == text
    roundtrip(Factory, omit_defaults=False)
    null = roundtrip(Typed)
    assert null.canonical_json(null.parse('{"name":"a","age":null}')) == '{"name":"a","age":null}'


def test_names_that_no_model_may_have() -> None:
    Strange = TypedDict("Strange", {"_private": int, "model_config": str, "two words": int, "class": bool})
    rebuilt = roundtrip(Strange)
    text = '{"_private":1,"model_config":"a","two words":2,"class":true}'
    assert rebuilt.canonical_json(rebuilt.parse(text)) == text
    assert [field.name for field in rebuilt.tree.fields][:2] == ["_private", "model_config"]  # type: ignore[union-attr]


def test_the_declared_tag_is_kept_though_another_key_would_do() -> None:
    class One(BaseModel):
        id: Literal["i1"] = "i1"
        kind: Literal["k1"] = "k1"

    class Two(BaseModel):
        id: Literal["i2"] = "i2"
        kind: Literal["k2"] = "k2"

    declared = Annotated[One | Two, Field(discriminator="kind")]
    for type_ in (declared, declared | None, list[declared], tuple[declared, One], declared | dict[str, int]):
        rebuilt = roundtrip(type_)
        assert rebuilt.tree == Schema.of(type_).tree


def test_patterns_that_are_written_for_other_engines() -> None:
    class Code(str):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler(str)

        @classmethod
        def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
            return {"type": "string", "pattern": r"^(?!x)\p{L}+$"}

    assert roundtrip(list[Code]).tree == Schema.of(list[Code]).tree


def test_a_name_that_is_the_key_of_another_field_is_never_read_for_it() -> None:
    class Swapped(BaseModel):
        x: int = Field(0, alias="y")
        y: int = Field(0, alias="z")

    for schema in (Schema.of(Swapped), roundtrip(Swapped)):
        for read in (schema.parse('{"y":5}'), schema.parse_value({"y": 5})):
            assert schema.canonical_json(read) == '{"y":5}'


def test_schemas_are_pickled_by_their_type_and_copied_as_themselves() -> None:
    for schema in (
        Schema.of(Item),
        Schema.of(list[Item] | None, omit_defaults=False),
        Schema.from_dict(stored(Schema.of(Order))),
    ):
        assert copy.copy(schema) is schema
        assert copy.deepcopy(schema) is schema
        again: Schema[Any] = pickle.loads(pickle.dumps(schema))
        assert again.fingerprint == schema.fingerprint
        assert again.name == schema.name
        assert again.omit_defaults == schema.omit_defaults
    assert pickle.loads(pickle.dumps(Schema.of(Item))).type is Item


def test_what_cannot_be_loaded_again_is_found_out() -> None:
    schema = Schema.of(Item)
    schema.tree = StringNode("date", min_length=3, constraints=(("version", 9),))
    vars(schema).pop("fingerprint", None)
    schema.require_loadable()  # a marker has what no type of Pydantic's has
    schema.definitions = {"Gone": schema.tree}  # type: ignore[assignment]
    with pytest.raises(SchemaError, match="not be loaded again"):
        schema.require_loadable()


def test_records_of_rebuilt_classes_travel_between_processes() -> None:
    data, text = (
        stored(Schema.of(Order)),
        '{"items":[{"name":"a","price":"1.50"}],"by_name":{"b":{"name":"b","price":"2"}}}',
    )
    record = Schema.from_dict(data).parse(text)
    assert type(Schema.from_dict(data).parse(text)) is type(record)
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert again.items[0] == record.items[0]
    assert copy.deepcopy(record) == record
    code = (
        "import pickle, sys; record = pickle.load(sys.stdin.buffer); print(record.items[0].price, len(record.by_name))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(record), capture_output=True, check=True)
    assert done.stdout.decode().split() == ["1.50", "1"]
    nest = Schema.from_dict(stored(Schema.of(Nest))).parse('{"a":{"b":{}}}')
    assert pickle.loads(pickle.dumps(nest)) == nest
    listed = Schema.from_dict(stored(Schema.of(list[Item]))).parse('[{"name":"a","price":"1"}]')
    assert pickle.loads(pickle.dumps(listed)) == listed
