"""For every instance of every construct: the grammar accepts its canonical JSON, and it parses back to an equal one."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from pydantic import ValidationError
from schema_grammar import END, accepts, ll_tokenizer, matcher
from schema_zoo import ZOO, values, zoo_id

from extractft.schema import Schema

# What only Pydantic can check, and `Schema.notes` (or the documentation of a format) says so.
LEFT_TO_PYDANTIC = {
    "date_from_datetime_parsing",
    "date_parsing",
    "date_past",
    "datetime_from_date_parsing",
    "datetime_parsing",
    "decimal_max_digits",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "multiple_of",
    "string_pattern_mismatch",
    "url_parsing",
}
SETTINGS = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


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


def scribble(made: Any, rng: random.Random, limit: int) -> str | None:
    """A text that the grammar allows, written by throwing dice; `None` if it gets longer than `limit` bytes."""
    fresh, written = made.deep_copy(), []
    closing = [ll_tokenizer().tokenize_str(char)[0] for char in '"}],:']
    while len(written) < limit:
        mask = fresh.compute_bitmask()
        allowed = [i for i in range(264) if mask[i // 8] >> (i % 8) & 1]
        if allowed == [END] or (END in allowed and rng.random() < 0.5):
            return bytes(ll_tokenizer().decode_bytes(written)).decode()
        choices = [i for i in closing if i in allowed] if rng.random() < 0.5 else []
        token = rng.choice(choices or [i for i in allowed if i != END])
        assert fresh.consume_token(token)
        written.append(token)
    return None


@pytest.mark.parametrize("type_", ZOO, ids=zoo_id)
def test_whatever_the_grammar_allows_has_the_right_shape(type_: Any) -> None:
    schema = Schema.of(type_)
    grammar = matcher(schema.grammar_schema(max_string_length=3))
    rng = random.Random(7)
    for _ in range(6):
        text = scribble(grammar, rng, 1000)
        if text is None:
            continue
        refused: set[str] = set()
        try:
            instance = schema.parse(text)
        except ValidationError as error:
            refused = {item["type"] for item in error.errors()}
        assert refused <= LEFT_TO_PYDANTIC, text
        if refused:
            continue
        canonical = schema.canonical_json(instance)
        assert accepts(grammar, canonical) or schema.name == "Formats", canonical  # URLs grow when they are parsed
        assert schema.canonical_json(schema.parse(canonical)) == canonical
