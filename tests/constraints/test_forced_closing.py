from __future__ import annotations

import json
import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from extractft.constraints import GrammarCompiler, accepts
from extractft.constraints.forced_closing import ForcedCloser
from extractft.schema import Schema

VOCAB = 264
LIMIT = 200


class Colour(Enum):
    RED = "red"
    GREY = "light grey"


class Plain(BaseModel):
    name: str
    age: int
    tags: list[str]
    ok: bool


class Optional_(BaseModel):
    first: str | None = None
    second: int | None = None
    third: Plain | None = None


class Bounds(BaseModel):
    above: Annotated[float, Field(gt=0)]
    large: Annotated[int, Field(ge=1000)]
    between: Annotated[float, Field(gt=-5, lt=-2)]
    step: Annotated[int, Field(multiple_of=7, ge=1)]
    long: Annotated[str, Field(min_length=5, max_length=9)]
    several: Annotated[list[int], Field(min_length=3, max_length=5)]


class Formats(BaseModel):
    day: date
    moment: datetime
    hour: time
    span: timedelta
    id: UUID
    price: Decimal
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{6,}x$")]
    word: Annotated[str, Field(pattern=r"^[a-n]+$")]


class Tree(BaseModel):
    value: str
    children: list[Tree]


class Leaf(BaseModel):
    type: Literal["number"]
    value: int


class Sum(BaseModel):
    type: Literal["add"]
    left: Leaf | Sum
    right: Leaf | Sum


class Choices(BaseModel):
    colour: Colour
    mixed: Literal["a", "ab", "b c", 1, True]
    pair: tuple[str, int]
    table: dict[str, int]
    either: int | str | list[str]


def check(schema: Schema[Any], text: str) -> None:
    """A grammar cannot know that there is no 30 February, which a random walk finds."""
    json.loads(text)
    if schema.type is not Formats:
        schema.parse(text)


ZOO: list[Any] = [Plain, Optional_, Bounds, Formats, Tree, Sum, Choices, int, str, list[Plain], dict[str, list[int]]]


@pytest.fixture(scope="module")
def compiler(tokenizer: Any) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)


def walk(grammar: Any, rng: random.Random, steps: int) -> tuple[Any, list[int]]:
    """Random allowed bytes, with a bias to ASCII so that the walk gets somewhere."""
    matcher, ids, mask = grammar.matcher(), [], bytearray(grammar.mask_bytes)
    for _ in range(steps):
        matcher.fill_mask(mask)
        options = [i for i in range(256) if mask[i >> 3] >> (i & 7) & 1]
        if not options:
            break
        favoured = [i for i in options if i < 0x60]
        ids.append(rng.choice(favoured if favoured and rng.random() < 0.5 else options))
        matcher.consume(ids[-1])
        if matcher.is_finished():
            break
    return matcher, ids


@pytest.mark.parametrize("type_", ZOO, ids=str)
@pytest.mark.parametrize("omit_defaults", [True, False])
def test_every_reachable_state_can_be_closed(
    tokenizer: Any, compiler: GrammarCompiler, type_: Any, omit_defaults: bool
) -> None:
    schema = Schema.of(type_, omit_defaults=omit_defaults)
    grammar = compiler.compile(schema, max_string_length=30)
    rng = random.Random(0)
    for _ in range(60):
        matcher, ids = walk(grammar, rng, rng.randrange(60))
        closing = matcher.closing_tokens(LIMIT)
        assert closing is not None, tokenizer.decode(ids)
        assert closing[-1] == tokenizer.eos_token_id
        assert accepts(grammar, ids + closing)
        check(schema, tokenizer.decode(ids + closing[:-1]))


@pytest.mark.real
def test_closing_prefers_null_and_empty_lists(qwen3_tokenizer: Any) -> None:
    end = qwen3_tokenizer.convert_tokens_to_ids("<|im_end|>")
    compiler = GrammarCompiler(qwen3_tokenizer, vocab_size=151_936, end_token_id=end)

    def closed(type_: Any) -> str:
        path = compiler.compile(Schema.of(type_, omit_defaults=False)).matcher().closing_tokens(99)
        return qwen3_tokenizer.decode(path[:-1])

    assert closed(Optional_) == '{"first":null,"second":null,"third":null}'
    assert closed(Plain) == '{"name":"","age":0,"tags":[],"ok":false}'
    assert closed(Tree) == '{"value":"","children":[]}'


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ('{"name":"a\\', '"","age":0,"tags":[],"ok":false}'),
        ('{"name":"a\\u00', '","age":0,"tags":[],"ok":false}'),
        ('{"na', 'me":"","age":0,"tags":[],"ok":false}'),
        ('{"name":"a","age":-', ',"tags":[],"ok":false}'),
        ('{"name":"a","age":1', ',"tags":[],"ok":false}'),
        ('{"name":"a","age":1,"tags":["x"', '],"ok":false}'),
        ('{"name":"a","age":1,"tags":["x",', '""],"ok":false}'),
        ('{"name":"a","age":1,"tags":[],"ok":t', "rue}"),
    ],
)
def test_closing_goes_on_from_the_middle(tokenizer: Any, compiler: GrammarCompiler, start: str, end: str) -> None:
    schema = Schema.of(Plain)
    matcher = compiler.compile(schema).matcher()
    for token_id in tokenizer.encode(start):
        matcher.consume(token_id)
    closing = matcher.closing_tokens(80)
    assert closing is not None
    rest = tokenizer.decode(closing[:-1])
    schema.parse(start + rest)
    assert rest.endswith(end)


def test_closing_completes_a_character_of_several_bytes(tokenizer: Any, compiler: GrammarCompiler) -> None:
    schema = Schema.of(Plain)
    for cut in (1, 2, 3):
        ids = tokenizer.encode('{"name":"') + tokenizer.encode("😀")[:cut]
        matcher = compiler.compile(schema).matcher()
        for token_id in ids:
            matcher.consume(token_id)
        closing = matcher.closing_tokens(80)
        assert closing is not None
        text = tokenizer.decode(ids + closing[:-1])
        assert "\N{REPLACEMENT CHARACTER}" not in text
        assert len(schema.parse(text).name) == 1


def test_closing_leaves_the_matcher_where_it_was(tokenizer: Any, compiler: GrammarCompiler) -> None:
    matcher = compiler.compile(Schema.of(Plain)).matcher()
    for token_id in tokenizer.encode('{"name":"a'):
        matcher.consume(token_id)
    first = matcher.closing_tokens(80)
    assert matcher.closing_tokens(80) == first
    for token_id in first or []:
        matcher.consume(token_id)
    assert matcher.is_finished()


def test_no_way_within_too_small_a_limit(compiler: GrammarCompiler) -> None:
    matcher = compiler.compile(Schema.of(Plain)).matcher()
    shortest = matcher.closing_tokens(99)
    assert shortest is not None
    assert matcher.closing_tokens(len(shortest)) == shortest
    assert matcher.closing_tokens(len(shortest) - 1) is None
    assert matcher.closing_tokens(0) is None


@pytest.mark.parametrize("type_", ZOO, ids=str)
def test_a_plan_keeps_every_record_within_its_budget(tokenizer: Any, compiler: GrammarCompiler, type_: Any) -> None:
    schema = Schema.of(type_)
    grammar = compiler.compile(schema, max_string_length=30)
    shortest = len(grammar.matcher().closing_tokens(LIMIT) or [])
    rng = random.Random(1)
    mask = bytearray(grammar.mask_bytes)
    for _ in range(15):
        budget = shortest + rng.randrange(80)
        plan, matcher, ids = ForcedCloser(grammar, budget), grammar.matcher(), []
        while True:
            matcher.fill_mask(mask)
            options = [i for i in range(256) if mask[i >> 3] >> (i & 7) & 1]
            if not options:
                break
            ids.append(rng.choice(options))
            matcher.consume(ids[-1])
            if matcher.is_finished():
                break
            if not plan.observe(matcher, len(ids)):
                closing = plan.close()
                assert closing is not None
                kept, path = closing
                assert kept + len(path) <= budget
                ids = ids[:kept] + path[:-1]
                break
        check(schema, tokenizer.decode(ids))


def test_a_plan_knows_when_nothing_fits(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(Schema.of(Plain))
    plan, matcher = ForcedCloser(grammar, 8), grammar.matcher()
    assert not plan.observe(matcher, 8)
    assert plan.close() is None
