from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from extractft.constraints import GrammarCompiler, accepts
from extractft.schema import Schema, Verbatim
from extractft.schema.model_rebuilder import Email
from extractft.schema.scalar_writers import dumps
from extractft.testing import byte_tokenizer

Copied = Annotated[str, Verbatim()]
TOKENIZER = byte_tokenizer()
COMPILER = GrammarCompiler(TOKENIZER, vocab_size=len(TOKENIZER), end_token_id=258)


class Item(BaseModel):
    what: Copied
    number: int = 1


class Tree(BaseModel):
    label: Copied
    children: list[Tree] = []


class ByName(BaseModel):
    kind: Literal["name"] = "name"
    name: Copied
    inner: Item | None = None


class ByNumber(BaseModel):
    kind: Literal["number"] = "number"
    number: int
    inner: dict[str, int] = {}


class Everything(BaseModel):
    name: Copied
    short: Annotated[str | None, Verbatim(), Field(max_length=3)] = None
    mail: Annotated[Email | None, Verbatim()] = None
    items: list[Item] = []
    pair: tuple[Copied, int] | None = None
    few: list[Copied] = Field([], max_length=2)
    tree: Tree | None = None
    party: ByName | ByNumber | None = Field(None, discriminator="kind")
    mixed: list[Copied | int | bool | None] = []
    words: dict[str, Copied] = {}
    counts: dict[Copied, int] = {}
    known: dict[Literal["a", "b"], Copied] = {}
    loose: Annotated[str | None, Verbatim(normalized=True)] = None
    free: str | None = None
    day: date | None = None
    price: Decimal | None = None
    sort: Literal["x", "y"] | None = None


SCHEMA = Schema.of(Everything)
TEXT = '龙琳   ，宁夏"璐市"\n城东 ＡＢＣ街g座 955491，nafan@example.com \\ \x7f é 👩‍👧'


def _accepts(schema: Schema[Any], json_text: str, text: str) -> bool:
    ids = TOKENIZER.encode(json_text, add_special_tokens=False)
    return accepts(COMPILER.compile(schema, text=text), ids)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"short": "955"},
        {"mail": "nafan@example.com"},
        {"items": [{"what": "g座"}, {"what": "座 9", "number": 3}]},
        {"pair": ["城", 5]},
        {"few": ["g", "座"]},
        {"tree": {"label": "城", "children": [{"label": '"璐市"\n城', "children": [{"label": "街"}]}]}},
        {"party": {"kind": "name", "name": "g", "inner": {"what": "g"}}},
        {"party": {"kind": "number", "number": 3, "inner": {"what": 2}}},
        {"mixed": ["g", 3, None, True]},
        {"words": {"anything": "g", "else": "座"}},
        {"counts": {"g": 1, "座": 2}},
        {"known": {"b": "g"}},
        {"loose": "abc街"},
        {"loose": "龙琳 ，宁夏"},
        {"free": "not there at all"},
        {"day": "2024-02-29", "price": "12.50", "sort": "y"},
        {"few": ["\\ \x7f é 👩‍👧"]},
    ],
)
def test_copies_are_accepted_wherever_they_stand(fields: dict[str, Any]) -> None:
    record = SCHEMA.parse_value({"name": "龙琳   ，", **fields})
    assert _accepts(SCHEMA, SCHEMA.canonical_json(record), TEXT)


@pytest.mark.parametrize(
    "json_text",
    [
        '{"name":"龙林"}',
        '{"name":""}',
        '{"name":"龙琳","short":"9554"}',
        '{"name":"龙琳","mail":"nafan@exam"}',
        '{"name":"龙琳","mail":"other@example.com"}',
        '{"name":"龙琳","items":[{"what":"gx"}]}',
        '{"name":"龙琳","pair":["z",5]}',
        '{"name":"龙琳","few":["g","g","g"]}',
        '{"name":"龙琳","tree":{"label":"城","children":[{"label":"璐x"}]}}',
        '{"name":"龙琳","party":{"kind":"name","name":"z"}}',
        '{"name":"龙琳","party":{"kind":"name","name":"g","inner":{"what":"z"}}}',
        '{"name":"龙琳","mixed":["z"]}',
        '{"name":"龙琳","words":{"a":"z"}}',
        '{"name":"龙琳","counts":{"z":1}}',
        '{"name":"龙琳","known":{"a":"z"}}',
        '{"name":"龙琳","loose":"xyz"}',
        '{"name":"龙琳","short":null}',
        '{"name":"n城"}',  # of an escaped line break and what follows it, only the whole is a copy
        '{"name":"\\\\n城"}',
    ],
)
def test_what_is_no_copy_is_refused(json_text: str) -> None:
    assert not _accepts(SCHEMA, json_text, TEXT)


def test_without_a_text_the_strings_are_free() -> None:
    assert accepts(COMPILER.compile(SCHEMA), TOKENIZER.encode('{"name":"龙林"}', add_special_tokens=False))


def test_a_root_can_be_verbatim() -> None:
    assert _accepts(Schema.of(list[Copied]), '["g","座"]', TEXT)
    assert not _accepts(Schema.of(list[Copied]), '["g","z"]', TEXT)
    assert _accepts(Schema.of(Copied), '"g座"', TEXT)


def test_grammars_of_different_texts_do_not_mix() -> None:
    schema = Schema.of(Item)
    first, second = (COMPILER.compile(schema, text=text) for text in ("left", "right"))
    assert first.source != second.source
    for grammar, word in ((first, "left"), (second, "right"), (first, "left")):
        ids = TOKENIZER.encode(f'{{"what":"{word}"}}', add_special_tokens=False)
        assert accepts(grammar, ids)
        assert not accepts(second if grammar is first else first, ids)


HOSTILE = st.text(
    st.one_of(
        st.sampled_from('"\\/\n\r\t\b\f\x00\x1f\x7f\u2028\u200d{}[]:,<>|$%&~#'),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(HOSTILE, st.data())
def test_every_substring_of_any_text_and_nothing_else(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    value = text[start : data.draw(st.integers(start + 1, len(text)))]
    schema = Schema.of(Item)
    assert _accepts(schema, dumps({"what": value}), text)
    other = data.draw(HOSTILE)
    assert _accepts(schema, dumps({"what": other}), text) == (other in text)


@settings(max_examples=60, deadline=None)
@given(HOSTILE, st.randoms(use_true_random=False))
def test_any_walk_through_the_masks_spells_copies_only(text: str, rng: Any) -> None:
    """No model needed: whatever is picked from the masks, the values are substrings."""
    grammar = COMPILER.compile(Schema.of(Item), text=text)
    matcher = grammar.matcher()
    mask = bytearray(grammar.mask_bytes)
    spelled = b""
    for _ in range(400):
        matcher.fill_mask(mask)
        allowed = [i for i in range(8 * len(mask)) if mask[i >> 3] >> (i & 7) & 1]
        if matcher.is_complete() and 258 in allowed:
            break
        token = rng.choice(allowed)
        spelled += grammar.spelling(token)
        matcher.consume(token)
    else:
        pytest.skip("a number that never ends")
    record = json.loads(spelled.decode())
    assert record["what"]
    assert record["what"] in text


def test_a_record_can_be_closed_in_a_verbatim_string() -> None:
    grammar = COMPILER.compile(SCHEMA, text=TEXT)
    matcher = grammar.matcher()
    for token in TOKENIZER.encode('{"name":"龙', add_special_tokens=False):
        matcher.consume(token)
    path = matcher.closing_tokens(20)
    assert path is not None
    assert bytes(b for token in path[:-1] for b in grammar.spelling(token)).decode() == '"}'
