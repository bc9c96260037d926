"""Compiles a schema into what the tokens of a record may spell, with llguidance, and fills masks of allowed tokens.

Knows JSON schemas and token ids. Knows no model and loads no torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from tokenizers import Tokenizer

from extractft.completion import Grammar, Matcher
from extractft.constraints.forced_closing import ClosingTokens, find_closing
from extractft.constraints.verbatim_grammar import VerbatimGrammar
from extractft.errors import GrammarError, SchemaError
from extractft.processes import BoundToProcess, fork_safe_lock, reset_after_fork
from extractft.schema import Schema

__all__ = ["CompiledGrammar", "FastTokenizer", "GrammarCompiler", "GuidanceMatcher", "TokenMasks", "accepts"]

K = TypeVar("K")
V = TypeVar("V")
_MIN_CAP = 128
_MAX_CAP = 4096
_CACHED_GRAMMARS = 128
_COPIES_PER_TEMPLATE = 64
_MAX_LEXER_STATES = 1_000_000
_OPTIONS = {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False}
"""The canonical JSON form, whatever the schema says of it."""


class FastTokenizer(Protocol):
    """The part of a transformers tokenizer that a grammar needs."""

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer of the `tokenizers` library behind it."""
        ...


class _Vocabulary:
    """A tokenizer as llguidance sees it, with the tokens for closing records."""

    def __init__(self, tokenizer_json: str, vocab_size: int, end_token_id: int) -> None:
        self.tokenizer = LLTokenizer(tokenizer_json, n_vocab=vocab_size, eos_token=end_token_id)
        self.mask_bytes = 4 * -(-vocab_size // 32)
        self._spellings: dict[int, bytes] = {}
        ids: dict[bytes, int] = {}
        for token_id in range(vocab_size):
            spelling = self.tokenizer.decode_bytes([token_id])
            if (len(spelling) == 1 or spelling == b"null") and not self.tokenizer.is_special_token(token_id):
                ids.setdefault(spelling, token_id)
        self.closing = ClosingTokens.of(ids, end=end_token_id, vocab_size=vocab_size)

    def spelling(self, token_id: int) -> bytes:
        """The bytes of a token."""
        known = self._spellings.get(token_id)
        if known is None:
            known = self._spellings[token_id] = bytes(self.tokenizer.decode_bytes([token_id]))
        return known


_vocabularies: OrderedDict[tuple[bytes, int, int], _Vocabulary] = OrderedDict()
_vocabularies_lock = fork_safe_lock()


def _vocabulary(tokenizer: FastTokenizer, vocab_size: int, end_token_id: int) -> _Vocabulary:
    """One for each tokenizer and size: building it takes more than a second with 150,000 tokens."""
    text = tokenizer.backend_tokenizer.to_str()
    if tokenizer.backend_tokenizer.truncation or tokenizer.backend_tokenizer.padding:
        text = json.dumps({**json.loads(text), "truncation": None, "padding": None})
    key = (hashlib.sha256(text.encode()).digest(), vocab_size, end_token_id)
    with _vocabularies_lock:
        if key not in _vocabularies:
            _vocabularies[key] = _Vocabulary(text, vocab_size, end_token_id)
            while len(_vocabularies) > 4:
                _vocabularies.popitem(last=False)
        _vocabularies.move_to_end(key)
        return _vocabularies[key]


class GuidanceMatcher:
    """llguidance's matcher behind the protocol. Not to be shared between threads."""

    def __init__(self, matcher: LLMatcher, vocabulary: _Vocabulary, on_error: Callable[[], None]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._on_error = on_error

    def fill_mask(self, mask: bytearray | memoryview) -> None:
        """Write the set of allowed next tokens as a little-endian bit mask.

        Raises:
            GrammarError: The grammar became too complex to go on with.
            ValueError: The mask has the wrong length.
        """
        size = self._vocabulary.mask_bytes
        if len(mask) != size:
            raise ValueError(f"Expected a mask of {size} bytes, found {len(mask)}.")
        pointer = ctypes.addressof((ctypes.c_char * size).from_buffer(mask))
        self._matcher.unsafe_compute_mask_ptr(pointer, size)
        self._check("a mask cannot be computed")

    def consume(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            GrammarError: The token is not allowed here.
        """
        if not self._matcher.consume_token(token_id):
            self._check(f"token {token_id} is not allowed here")

    def copy(self) -> GuidanceMatcher:
        """An independent matcher in the same state, made in a microsecond."""
        return GuidanceMatcher(self._matcher.deep_copy(), self._vocabulary, self._on_error)

    def is_finished(self) -> bool:
        """True if the end token was consumed, or nothing more can follow."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def is_complete(self) -> bool:
        """True if what was consumed is a whole record, though more might follow."""
        return bool(self._matcher.is_accepting())

    def forced_tokens(self) -> list[int]:
        """The token ids that spell what has to come next, empty if there is a choice."""
        return list(self._matcher.compute_ff_tokens())

    def closing_tokens(self, limit: int) -> list[int] | None:
        """A short way to a complete record within `limit` tokens, end token included; `None` if none was found."""
        return find_closing(self, self._vocabulary.closing, limit)

    def _check(self, what: str) -> None:
        if self._matcher.is_error():
            self._on_error()
            # llguidance's own message may quote what was written so far.
            raise GrammarError(f"Grammar: {what} ({self._matcher.stop_reason()}).")


class CompiledGrammar(BoundToProcess):
    """A grammar ready for use. Safe to share between threads.

    Matchers are copies of a template, twenty times cheaper than new ones. Copies share the template's lexer, which
    grows with all they read and which an error of one spoils for all, so templates are replaced now and then, and
    after every error.
    """

    def __init__(
        self, source: str, vocabulary: _Vocabulary, name: str, *, lark: str, json_schema: Mapping[str, Any]
    ) -> None:
        self._source = source
        self._lark = lark
        self._json_schema = json_schema
        self._vocabulary = vocabulary
        self._lock = fork_safe_lock()
        self._copies = 0
        self._template: LLMatcher | None = self._fresh()
        if error := self._template.get_error():
            raise SchemaError(f"{name} cannot be turned into a grammar: {error}").hint(
                "Loosen the pattern or constraint that it names, and check it in a validator instead."
            )
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the template: a thread that does not exist in this process may have held its lexer."""
        self._template = None

    @property
    def source(self) -> str:
        """The grammar in llguidance's serialised form."""
        return self._source

    @property
    def lark(self) -> str:
        """The grammar in llguidance's dialect of Lark, as servers take it."""
        return self._lark

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The shape of the record as a JSON schema, for servers that know no other grammar; blind to the text."""
        return self._json_schema

    @property
    def mask_bytes(self) -> int:
        """Length of the masks that its matchers fill."""
        return self._vocabulary.mask_bytes

    def spelling(self, token_id: int) -> bytes:
        """The bytes that a token spells."""
        return self._vocabulary.spelling(token_id)

    def tokenize(self, spelled: bytes) -> list[int]:
        """The tokens of some bytes."""
        return list(self._vocabulary.tokenizer.tokenize_bytes(spelled))

    def matcher(self) -> GuidanceMatcher:
        """A fresh matcher at the start of the grammar."""
        with self._lock:
            if self._template is None or self._copies >= _COPIES_PER_TEMPLATE:
                self._template, self._copies = self._fresh(), 0
            self._copies += 1
            return GuidanceMatcher(self._template.deep_copy(), self._vocabulary, self._drop_template)

    def _fresh(self) -> LLMatcher:
        limits = LLParserLimits(max_lexer_states=_MAX_LEXER_STATES, verbose_errors=False)
        return LLMatcher(self._vocabulary.tokenizer, self._source, log_level=0, limits=limits)

    def _drop_template(self) -> None:
        with self._lock:
            self._template = None


class GrammarCompiler(BoundToProcess):
    """Turns schemas into grammars over one vocabulary, and keeps them. Safe to share between threads.

    Args:
        tokenizer: A fast transformers tokenizer.
        vocab_size: Width of the model's logits, which may exceed the tokenizer's size; the ids beyond it are never
            allowed.
        end_token_id: The only token that ends a record.
    """

    def __init__(self, tokenizer: FastTokenizer, *, vocab_size: int, end_token_id: int) -> None:
        self.vocab_size = vocab_size
        self.end_token_id = end_token_id
        self._vocabulary = _vocabulary(tokenizer, vocab_size, end_token_id)
        self._lock = fork_safe_lock()
        self._grammars: OrderedDict[tuple[str, int | None], CompiledGrammar] = OrderedDict()
        self._verbatim: OrderedDict[tuple[str, int | None], VerbatimGrammar] = OrderedDict()

    def compile(
        self, schema: Schema[Any], *, max_string_length: int | None = None, text: str | None = None
    ) -> CompiledGrammar:
        """The grammar of a schema's canonical JSON.

        Args:
            schema: The schema.
            max_string_length: Characters that a free string may have, rounded up to a power of two from 128 to 4096
                so that texts of like length share a grammar. Longer strings, or `None`: no limit but the budget.
            text: What verbatim strings are copied from, as the model sees it; not empty. A schema that has some gets
                a grammar for this text alone, which is not kept. `None`: they are as free as others.

        Raises:
            SchemaError: llguidance refuses the schema.
            GrammarError: It refuses the grammar of this text, which is too long.
        """
        cap = _rounded_cap(max_string_length)
        key = (schema.decoding_key, cap)
        if text is None or not schema.has_verbatim:
            return self._kept(self._grammars, key, lambda: self._free(schema, cap))
        grammar = self._kept(
            self._verbatim, key, lambda: VerbatimGrammar(schema.tree, schema.definitions, max_string_length=cap)
        )
        lark, json_schema = grammar.source(text), schema.grammar_schema(max_string_length=cap)
        try:
            source = LLMatcher.grammar_from_lark(lark)
            return CompiledGrammar(source, self._vocabulary, schema.name, lark=lark, json_schema=json_schema)
        except SchemaError:  # which quotes the grammar, and so the text
            raise GrammarError(f"Grammar: {len(text)} characters are too many to copy {schema.name} from.") from None

    def spelling(self, token_id: int) -> bytes:
        """The bytes that a token spells."""
        return self._vocabulary.spelling(token_id)

    def _free(self, schema: Schema[Any], cap: int | None) -> CompiledGrammar:
        return self.compile_json_schema(schema.grammar_schema(max_string_length=cap), name=schema.name)

    def _kept(self, kept: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
        with self._lock:
            if key not in kept:
                kept[key] = make()
                while len(kept) > _CACHED_GRAMMARS:
                    kept.popitem(last=False)
            kept.move_to_end(key)
            return kept[key]

    def compile_json_schema(self, json_schema: Mapping[str, Any], *, name: str = "The schema") -> CompiledGrammar:
        """The grammar of a JSON schema written for llguidance; not kept.

        Raises:
            SchemaError: llguidance refuses the schema.
        """
        source = LLMatcher.grammar_from_json_schema(dict(json_schema), overrides=_OPTIONS)
        lark = f"start: %json {json.dumps({'x-guidance': _OPTIONS, **json_schema}, ensure_ascii=False)}"
        return CompiledGrammar(source, self._vocabulary, name, lark=lark, json_schema=json_schema)


def _rounded_cap(length: int | None) -> int | None:
    """Beyond 4096 characters counting them costs the lexer more states than it may have."""
    if length is None or length > _MAX_CAP:
        return None
    return max(_MIN_CAP, 1 << (length - 1).bit_length())


def accepts(grammar: Grammar, ids: Sequence[int]) -> bool:
    """True if the grammar takes `ids` token by token and the record is complete after them.

    The end token may be the last of them, and is not needed.
    """
    matcher = grammar.matcher()
    mask = bytearray(grammar.mask_bytes)
    for token_id in ids:
        matcher.fill_mask(mask)
        if token_id >= 8 * len(mask) or not mask[token_id >> 3] >> (token_id & 7) & 1:
            return False
        matcher.consume(token_id)
    return matcher.is_complete()


class TokenMasks:
    """Bit masks of allowed tokens, one a row.

    Args:
        rows: Most rows of a batch.
        vocab_size: Width of the logits.

    Attributes:
        rows: Most rows of a batch.
        vocab_size: Width of the logits.
        row_bytes: Length of one mask: whole 32-bit words.
        memory: All masks, one behind the other; bit `i % 8` of byte `i // 8` of a row stands for id `i`.
    """

    def __init__(self, rows: int, vocab_size: int) -> None:
        self.rows = rows
        self.vocab_size = vocab_size
        self.row_bytes = 4 * -(-vocab_size // 32)
        self.memory = bytearray(rows * self.row_bytes)

    def fill(self, row: int, matcher: Matcher) -> None:
        """Let the matcher write its allowed tokens into a row.

        Raises:
            GrammarError: The matcher cannot go on.
        """
        start = row * self.row_bytes
        with memoryview(self.memory)[start : start + self.row_bytes] as mask:
            matcher.fill_mask(mask)

    def allows(self, row: int, token_id: int) -> bool:
        """True if a row's mask allows a token."""
        return bool(self.memory[row * self.row_bytes + (token_id >> 3)] >> (token_id & 7) & 1)
