"""What the docs promise of every schema, on random types: it can be stored, and what is written is read back."""

import json
import random
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_grammar import accepts, matcher
from schema_machine import TYPES
from schema_zoo import values
from test_schema_roundtrip import scribble

from extractft.errors import SchemaError
from extractft.schema import Schema

SETTINGS = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@SETTINGS
@given(TYPES, st.booleans())
def test_whatever_is_taken_can_be_stored_and_rebuilt(type_: Any, omit_defaults: bool) -> None:
    schema = Schema.of(type_, omit_defaults=omit_defaults)
    schema.require_loadable()
    data = json.loads(json.dumps(schema.to_dict(), allow_nan=False))
    rebuilt = Schema.from_dict(data)
    assert rebuilt.fingerprint == schema.fingerprint
    assert rebuilt.decoding_key == schema.decoding_key
    assert (rebuilt.tree, dict(rebuilt.definitions)) == (schema.tree, dict(schema.definitions))
    assert json.loads(json.dumps(rebuilt.to_dict())) == data


@SETTINGS
@given(TYPES, st.booleans(), st.data())
def test_the_canonical_json_of_any_accepted_value_parses_back_equal(
    type_: Any, omit_defaults: bool, data: st.DataObject
) -> None:
    schema = Schema.of(type_, omit_defaults=omit_defaults)
    try:
        instance = schema.parse_value(data.draw(values(schema, schema.tree)))
        text = schema.canonical_json(instance)
    except (ValidationError, SchemaError):
        assume(False)
    again = schema.parse(text)
    assert again == instance
    assert schema.canonical_json(again) == text
    assert schema.full_value(again) == schema.full_value(instance)
    assert accepts(matcher(schema.grammar_schema(max_string_length=300)), text)
    rebuilt = Schema.from_dict(schema.to_dict())
    assert rebuilt.canonical_json(rebuilt.parse(text)) == text
    assert rebuilt.full_value(rebuilt.parse(text)).__class__ is schema.full_value(again).__class__


@SETTINGS
@given(TYPES, st.integers(0, 1000))
def test_what_the_grammar_allows_and_pydantic_refuses_has_a_note(type_: Any, seed: int) -> None:
    schema = Schema.of(type_)
    text = scribble(matcher(schema.grammar_schema(max_string_length=3)), random.Random(seed), 400)
    assume(text is not None)
    assert text is not None
    try:
        schema.parse(text)
    except ValidationError:
        assert schema.notes, text
