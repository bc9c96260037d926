from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter

from extractft.errors import SchemaError
from extractft.schema import ArrayNode, ObjectNode, Schema, StringNode, Verbatim, verbatim_sources

Copied = Annotated[str, Verbatim()]


class Plain(BaseModel):
    name: str
    tags: list[str] = []


class Marked(BaseModel):
    name: Copied
    tags: list[Copied] = []


Marked.__name__ = "Plain"


def _field(type_: object) -> object:
    schema = Schema.of(dict[str, type_])
    return schema.resolve(schema.tree).values  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "type_",
    [
        Annotated[str, Verbatim()],
        Annotated[str, Verbatim(), AfterValidator(str.strip)],
        Annotated[str, AfterValidator(str.strip), Verbatim()],
    ],
)
def test_strings_are_marked_before_and_behind_validators(type_: object) -> None:
    assert _field(type_) == StringNode(verbatim="exact")


def test_the_marker_keeps_constraints_on_either_side() -> None:
    for type_ in (
        Annotated[str, Field(max_length=9), Verbatim(normalized=True)],
        Annotated[str, Verbatim(normalized=True), Field(max_length=9)],
    ):
        assert _field(type_) == StringNode(max_length=9, verbatim="normalized")


def test_the_marker_looks_through_optionals_lists_and_unions() -> None:
    optional = _field(Annotated[str | None, Verbatim()])
    assert [option for option in optional.options if isinstance(option, StringNode)] == [StringNode(verbatim="exact")]  # type: ignore[attr-defined]
    assert _field(Annotated[list[str], Verbatim()]) == ArrayNode(StringNode(verbatim="exact"))
    union = _field(Annotated[int | str | list[str], Verbatim()])
    assert ArrayNode(StringNode(verbatim="exact")) in union.options  # type: ignore[attr-defined]


@pytest.mark.parametrize("type_", [int, Literal["a"], Plain, list[int]])
def test_a_field_without_strings_cannot_be_verbatim(type_: object) -> None:
    with pytest.raises(SchemaError, match="Verbatim marks strings"):
        TypeAdapter(Annotated[type_, Verbatim()])


def test_dataclasses_and_map_keys() -> None:
    @dataclass
    class Row:
        name: Copied

    schema = Schema.of(Row)
    assert schema.has_verbatim
    assert Schema.of(dict[Copied, int]).has_verbatim
    assert not Schema.of(Plain).has_verbatim


def test_verbatim_binds_the_decoder_and_is_no_other_schema() -> None:
    plain, marked = Schema.of(Plain), Schema.of(Marked)
    assert plain.fingerprint == marked.fingerprint
    assert plain.decoding_key != marked.decoding_key


def test_a_field_called_verbatim_counts_in_the_fingerprint() -> None:
    class One(BaseModel):
        values: dict[str, str] = {"verbatim": "a"}

    class Two(BaseModel):
        values: dict[str, str] = {"verbatim": "b"}

    Two.__name__ = "One"
    assert Schema.of(One).fingerprint != Schema.of(Two).fingerprint


def test_the_marker_survives_being_stored() -> None:
    class Both(BaseModel):
        a: Annotated[str, Verbatim(normalized=True), Field(min_length=2)]
        b: Annotated[str | None, Verbatim()] = None

    stored = Schema.of(Both).to_dict()
    again = Schema.from_dict(stored)
    assert again.decoding_key == Schema.of(Both).decoding_key
    tree = again.resolve(again.tree)
    assert isinstance(tree, ObjectNode)
    assert tree.fields[0].node == StringNode(min_length=2, verbatim="normalized")


def test_sources_of_a_normalised_copy() -> None:
    assert verbatim_sources("Ａ  b", "exact") == ("Ａ  b",)
    found = verbatim_sources("ＡＢ　 c\nd", "normalized")
    for value in ("ＡＢ　 c\nd", "AB c d", "ab c d", "AB C D", "Ab C D"):
        assert value in found


def test_a_pattern_of_a_verbatim_string_is_checked_afterwards() -> None:
    schema = Schema.of(dict[str, Annotated[str, Field(pattern="^[a-z]+$"), Verbatim()]])
    assert any("verbatim" in note for note in schema.notes)
