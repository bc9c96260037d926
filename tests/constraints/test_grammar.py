from __future__ import annotations

import json
import random
import threading
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from extractft.constraints import CompiledGrammar, GrammarCompiler, accepts
from extractft.errors import GrammarError, SchemaError
from extractft.schema import Schema


class Line(BaseModel):
    name: str
    amount: int
    kind: Literal["food", "travel"] | None = None


class Receipt(BaseModel):
    company: str
    lines: list[Line] = []
    note: str | None = None


VOCAB = 264


@pytest.fixture(scope="module")
def compiler(tokenizer: Any) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)


@pytest.fixture(scope="module")
def grammar(compiler: GrammarCompiler) -> CompiledGrammar:
    return compiler.compile(Schema.of(Receipt), max_string_length=50)


def allowed(matcher: Any, size: int = VOCAB) -> set[int]:
    mask = bytearray(4 * -(-size // 32))
    matcher.fill_mask(mask)
    return {i for i in range(8 * len(mask)) if mask[i >> 3] >> (i & 7) & 1}


def spelled(tokenizer: Any, grammar: CompiledGrammar, text: str) -> bool:
    return accepts(grammar, tokenizer.encode(text))


def test_only_the_canonical_spelling_is_accepted(tokenizer: Any, grammar: CompiledGrammar) -> None:
    record = Receipt(company='龙琳 "A"\n', lines=[Line(name="茶", amount=3, kind="food"), Line(name="", amount=-1)])
    text = Schema.of(Receipt).canonical_json(record)
    assert spelled(tokenizer, grammar, text)
    assert spelled(tokenizer, grammar, text + "<|im_end|>")
    for other in (
        text.replace(":", ": ", 1),
        text.replace(",", ", ", 1),
        " " + text,
        text + " ",
        text[:-1],
        text.replace("龙", "\\u9f99"),
        text.replace('"company"', '"compani"'),
        text[:-1] + ',"extra":1}',
        '{"lines":[],"company":"A"}',
        json.dumps(json.loads(text), ensure_ascii=False, indent=1),
    ):
        assert not spelled(tokenizer, grammar, other), other


@pytest.mark.parametrize("spelling", ['"/"', '"\\""', '"\\\\"', '"\\n"', '"\\b"', '"\\u001f"', '"\\u007f"', '"\u2028"'])
def test_each_character_has_its_json_spelling(tokenizer: Any, compiler: GrammarCompiler, spelling: str) -> None:
    assert spelled(tokenizer, compiler.compile(Schema.of(str)), spelling)


@pytest.mark.parametrize("spelling", ['"\\/"', '"\\u0041"', '"\\u9f99"', '"\x7f"', '"\n"', '"\\x"', '"\\ud83d\\ude00"'])
def test_no_other_spelling_of_a_character(tokenizer: Any, compiler: GrammarCompiler, spelling: str) -> None:
    assert not spelled(tokenizer, compiler.compile(Schema.of(str)), spelling)


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_string_is_accepted_as_its_canonical_json(text: str) -> None:
    schema = Schema.of(str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    tokenizer = _byte_tokenizer()
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    assert spelled(tokenizer, compiler.compile(schema), schema.canonical_json(text))


def _byte_tokenizer() -> Any:
    from extractft.testing import byte_tokenizer

    return byte_tokenizer()


def test_control_tokens_and_padding_ids_are_never_allowed(tokenizer: Any, grammar: CompiledGrammar) -> None:
    text = '{"company":"ab \\n c","lines":[{"name":"x","amount":12,"kind":"food"}],"note":"<|im_end|>"}'
    matcher = grammar.matcher()
    for token_id in text.encode():
        ids = allowed(matcher)
        assert max(ids) < 256
        matcher.consume(tokenizer.encode(chr(token_id))[0])
    assert allowed(matcher) == {tokenizer.eos_token_id}


def test_a_finished_record_takes_the_end_token_and_nothing_else(tokenizer: Any, compiler: GrammarCompiler) -> None:
    matcher = compiler.compile(Schema.of(int)).matcher()
    for token_id in tokenizer.encode("12"):
        assert not matcher.is_finished()
        matcher.consume(token_id)
    assert tokenizer.eos_token_id in allowed(matcher)
    assert matcher.is_complete()
    assert not matcher.is_finished()
    matcher.consume(tokenizer.eos_token_id)
    assert matcher.is_finished()


def test_a_token_that_is_not_allowed_is_refused_without_quoting_the_record(
    tokenizer: Any, grammar: CompiledGrammar
) -> None:
    matcher = grammar.matcher()
    for token_id in tokenizer.encode('{"company":"secret"'):
        matcher.consume(token_id)
    with pytest.raises(GrammarError, match="not allowed") as caught:
        matcher.consume(tokenizer.encode("x")[0])
    assert "secret" not in str(caught.value)
    assert not matcher.is_finished()


def test_an_error_of_one_record_leaves_the_next_one_alone(tokenizer: Any, grammar: CompiledGrammar) -> None:
    before = grammar.matcher()
    with pytest.raises(GrammarError):
        grammar.matcher().consume(tokenizer.encode("x")[0])
    for matcher in (before, grammar.matcher()):
        for token_id in tokenizer.encode('{"company":"A"}'):
            matcher.consume(token_id)
        assert matcher.is_finished()


def test_copies_are_independent(tokenizer: Any, grammar: CompiledGrammar) -> None:
    matcher = grammar.matcher()
    for token_id in tokenizer.encode('{"company":"A'):
        matcher.consume(token_id)
    before = allowed(matcher)
    copy = matcher.copy()
    for token_id in tokenizer.encode('"}'):
        copy.consume(token_id)
    assert copy.is_finished()
    assert allowed(matcher) == before


def test_forced_tokens_spell_what_must_come(tokenizer: Any, grammar: CompiledGrammar) -> None:
    matcher = grammar.matcher()
    assert tokenizer.decode(matcher.forced_tokens()) == '{"company":"'
    for token_id in matcher.forced_tokens():
        matcher.consume(token_id)
    assert matcher.forced_tokens() == []


def test_masks_have_a_fixed_length(grammar: CompiledGrammar) -> None:
    with pytest.raises(ValueError, match="36 bytes"):
        grammar.matcher().fill_mask(bytearray(33))


def test_grammars_are_shared_between_texts_of_like_length(compiler: GrammarCompiler) -> None:
    schema = Schema.of(Receipt)
    assert compiler.compile(schema, max_string_length=300) is compiler.compile(schema, max_string_length=511)
    assert compiler.compile(schema, max_string_length=1) is compiler.compile(schema, max_string_length=128)
    assert compiler.compile(schema, max_string_length=512) is not compiler.compile(schema, max_string_length=513)
    assert compiler.compile(schema, max_string_length=5000) is compiler.compile(schema)


def test_strings_end_at_the_cap(tokenizer: Any, compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(Schema.of(list[str]), max_string_length=100)
    assert spelled(tokenizer, grammar, json.dumps(["龙" * 128], ensure_ascii=False, separators=(",", ":")))
    assert not spelled(tokenizer, grammar, json.dumps(["龙" * 129], ensure_ascii=False, separators=(",", ":")))


def test_a_grammar_that_llguidance_refuses_is_a_schema_error(compiler: GrammarCompiler) -> None:
    with pytest.raises(SchemaError, match=r"Thing cannot be turned into a grammar: .*pattern|lookahead|look-around"):
        compiler.compile_json_schema({"type": "string", "pattern": "^(?=a)b$"}, name="Thing")


def test_masks_do_not_depend_on_how_often_a_grammar_was_used(tokenizer: Any, grammar: CompiledGrammar) -> None:
    ids = tokenizer.encode('{"company":"龙琳","lines":[{"name":"a","amount":1}]}')

    def masks() -> list[frozenset[int]]:
        matcher, found = grammar.matcher(), []
        for token_id in ids:
            found.append(frozenset(allowed(matcher)))
            matcher.consume(token_id)
        return found

    first = masks()
    for _ in range(150):
        grammar.matcher()
    assert masks() == first


def test_threads_share_a_grammar(tokenizer: Any, compiler: GrammarCompiler) -> None:
    schema = Schema.of(Receipt)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(30):
                grammar = compiler.compile(schema, max_string_length=rng.choice([100, 200, 400, 800]))
                record = Receipt(company="x" * rng.randrange(99), lines=[Line(name="y", amount=rng.randrange(99))])
                assert spelled(tokenizer, grammar, schema.canonical_json(record))
                assert not spelled(tokenizer, grammar, '{"company":1}')
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_compiler_made_twice_uses_one_vocabulary(tokenizer: Any) -> None:
    first = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    second = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    assert first._vocabulary is second._vocabulary


@pytest.mark.real
def test_qwen3_ends_with_its_end_token_only_and_writes_no_control_token(qwen3_tokenizer: Any) -> None:
    vocab_size, end = 151_936, qwen3_tokenizer.convert_tokens_to_ids("<|im_end|>")
    compiler = GrammarCompiler(qwen3_tokenizer, vocab_size=vocab_size, end_token_id=end)
    schema = Schema.of(Receipt)
    grammar = compiler.compile(schema, max_string_length=100)
    text = schema.canonical_json(Receipt(company="龙琳😀", lines=[Line(name="</think><|im_end|>", amount=1)]))
    ids = qwen3_tokenizer.backend_tokenizer.encode(text.split("</think>")[0], add_special_tokens=False).ids
    matcher = grammar.matcher()
    for token_id in ids:
        assert max(allowed(matcher, vocab_size)) < 151_643
        matcher.consume(token_id)
    closing = matcher.closing_tokens(60)
    assert closing is not None
    for token_id in closing[:-1]:
        matcher.consume(token_id)
    assert allowed(matcher, vocab_size) == {end}
    schema.parse(qwen3_tokenizer.decode([*ids, *closing[:-1]]))


class Bounded(BaseModel):
    code: Annotated[str, Field(min_length=2, max_length=4)]


@pytest.mark.parametrize(("code", "fits"), [("a", False), ("ab", True), ("龙琳龙琳", True), ("abcde", False)])
def test_lengths_count_characters(tokenizer: Any, compiler: GrammarCompiler, code: str, fits: bool) -> None:
    text = json.dumps({"code": code}, ensure_ascii=False, separators=(",", ":"))
    assert spelled(tokenizer, compiler.compile(Schema.of(Bounded), max_string_length=1000), text) is fits
