"""Schemas without their classes: stored, rebuilt, compared."""

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from schema_zoo import Defaults, Home, Item, Order, Tree

from extractft.errors import SchemaError
from extractft.schema import Schema
from extractft.schema.serialise import node_from_dict, node_to_dict


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
