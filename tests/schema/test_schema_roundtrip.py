"""For every instance of every construct: the grammar accepts its canonical JSON, and it parses back to an equal one."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from llguidance import LLMatcher, LLTokenizer
from pydantic import ValidationError
from schema_zoo import ZOO, values, zoo_id

from extractft.schema import Schema
from extractft.testing import byte_tokenizer

SETTINGS = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@cache
def ll_tokenizer() -> LLTokenizer:
    return LLTokenizer(byte_tokenizer().backend_tokenizer.to_str(), n_vocab=264, eos_token=258)


def matcher(schema: dict[str, Any]) -> LLMatcher:
    made = LLMatcher(ll_tokenizer(), LLMatcher.grammar_from_json_schema(schema))
    assert not made.is_error(), made.get_error()
    return made


def accepts(made: LLMatcher, text: str) -> bool:
    ids = ll_tokenizer().tokenize_str(text)
    fresh = made.deep_copy()
    return fresh.try_consume_tokens(ids) == len(ids) and fresh.is_accepting()


@pytest.mark.parametrize("omit_defaults", [True, False], ids=["omit", "keep"])
@pytest.mark.parametrize("type_", ZOO, ids=zoo_id)
def test_every_instance_goes_round(type_: Any, omit_defaults: bool) -> None:
    schema = Schema.of(type_, omit_defaults=omit_defaults)
    grammar = matcher(schema.grammar_schema(max_string_length=300))
    rebuilt = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert rebuilt.tree == schema.tree
    assert dict(rebuilt.definitions) == dict(schema.definitions)

    @SETTINGS
    @given(values(schema, schema.tree))
    def check(value: Any) -> None:
        try:
            instance = schema.parse_value(value)
        except ValidationError:
            assume(False)
        text = schema.canonical_json(instance)
        assert accepts(grammar, text), text
        again = schema.parse(text)
        assert again == instance
        assert schema.canonical_json(again) == text
        assert json.loads(text) == json.loads(json.dumps(schema.canonical_value(instance)))
        assert schema.full_value(again) == schema.full_value(instance)
        assert rebuilt.canonical_json(rebuilt.parse(text)) == text

    check()
