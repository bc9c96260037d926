"""The real grammar compiler over one token a byte: does it take this text?"""

from functools import cache
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from extractft.schema import Schema
from extractft.testing import byte_tokenizer

END = 258


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


def accepts_text(type_: Any, text: str, *, omit_defaults: bool = True, cap: int | None = 300) -> bool:
    schema = Schema.of(type_, omit_defaults=omit_defaults)
    return accepts(matcher(schema.grammar_schema(max_string_length=cap)), text)
