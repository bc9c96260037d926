from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from extractft.errors import SchemaError
from extractft.schema import Merge, ObjectNode, RefNode, Schema


class Clause(BaseModel):
    title: str


class Contract(BaseModel):
    """What was agreed on."""

    parties: Annotated[list[str], Merge("first")] = []
    clauses: Annotated[list[Clause], Field(min_length=1), Merge("concatenate")]
    appendix: Annotated[list[Clause] | None, Merge("concatenate"), Field(description="what is attached")] = None
    main: Annotated[Clause, Merge("error")]
    other: Clause
    total: Annotated[Decimal, Merge("error")] | None = None
    plain: str | None = None


RULES = {
    "parties": "first",
    "clauses": "concatenate",
    "appendix": "concatenate",
    "main": "error",
    "other": None,
    "total": "error",
    "plain": None,
}


def rules(schema: Schema[Any]) -> dict[str, str | None]:
    tree = schema.resolve(schema.tree)
    assert isinstance(tree, ObjectNode)
    return {field.name: field.merge for field in tree.fields}


def test_rules_stand_on_their_fields() -> None:
    schema = Schema.of(Contract)
    assert rules(schema) == RULES
    tree = schema.resolve(schema.tree)
    assert isinstance(tree, ObjectNode)
    clauses = next(field for field in tree.fields if field.name == "clauses").node
    assert clauses.min_items == 1  # type: ignore[union-attr]
    assert next(field for field in tree.fields if field.name == "appendix").description == "what is attached"


def test_the_marker_changes_neither_records_nor_the_fingerprint() -> None:
    class Unmarked(BaseModel):
        """What was agreed on."""

        parties: list[str] = []
        clauses: Annotated[list[Clause], Field(min_length=1)]
        appendix: Annotated[list[Clause] | None, Field(description="what is attached")] = None
        main: Clause
        other: Clause
        total: Decimal | None = None
        plain: str | None = None

    Unmarked.__name__ = "Contract"
    marked, unmarked = Schema.of(Contract), Schema.of(Unmarked)
    assert marked.fingerprint == unmarked.fingerprint
    assert marked.decoding_key == unmarked.decoding_key
    assert marked.grammar_schema() == unmarked.grammar_schema()
    text = '{"parties":["A","B"],"clauses":[{"title":"x"}],"main":{"title":"y"},"other":{"title":"y"},"total":"1.50"}'
    assert marked.canonical_json(marked.parse(text)) == text


def test_rules_survive_being_stored() -> None:
    schema = Schema.of(Contract)
    again = Schema.from_dict(schema.to_dict())
    assert rules(again) == RULES
    assert again.fingerprint == schema.fingerprint


def test_other_classes_with_fields() -> None:
    @dataclass
    class Data:
        tags: Annotated[list[str], Merge("first")] = field(default_factory=list)

    class Dict(TypedDict):
        tags: Annotated[list[str], Merge("first")]

    class Row(NamedTuple):
        tags: Annotated[list[str], Merge("first")]

    for type_ in (Data, Dict, Row):
        assert rules(Schema.of(type_)) == {"tags": "first"}, type_


def test_discriminated_unions_and_recursion() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    class Owner(BaseModel):
        pet: Annotated[Cat | Dog, Merge("error"), Field(discriminator="kind")]
        friends: Annotated[list[Owner], Merge("concatenate")] = []

    Owner.model_rebuild(_types_namespace={"Owner": Owner})
    schema = Schema.of(Owner)
    assert isinstance(schema.tree, RefNode)
    assert rules(schema) == {"pet": "error", "friends": "concatenate"}
    assert rules(Schema.from_dict(schema.to_dict())) == {"pet": "error", "friends": "concatenate"}


def test_a_field_may_be_called_merge() -> None:
    class Git(BaseModel):
        merge: Annotated[str, Merge("error")]

    class Renamed(BaseModel):
        merged: Annotated[str, Merge("error")]

    Renamed.__name__ = "Git"
    assert rules(Schema.of(Git)) == {"merge": "error"}
    assert Schema.of(Git).fingerprint != Schema.of(Renamed).fingerprint


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(SchemaError, match="expected Merge of one of first, concatenate, error, found 'last'"):
        Merge("last")  # type: ignore[arg-type]


@pytest.mark.parametrize("type_", [str, Clause, dict[str, str], tuple[str, str], list[str] | str])
def test_only_lists_are_concatenated(type_: Any) -> None:
    class Holder(BaseModel):
        inner: Annotated[type_, Merge("concatenate")]  # type: ignore[valid-type]

    with pytest.raises(SchemaError, match="is for lists") as error:
        Schema.of(Holder)
    assert error.value.path == "inner"


def test_the_marker_has_to_be_on_a_field() -> None:
    class Holder(BaseModel):
        inner: list[Annotated[str, Merge("first")]]

    with pytest.raises(SchemaError, match="Merge marks a field") as error:
        Schema.of(Holder)
    assert error.value.path == "inner.*"
    with pytest.raises(SchemaError, match="Merge marks a field"):
        Schema.of(Annotated[list[str], Merge("first")])
