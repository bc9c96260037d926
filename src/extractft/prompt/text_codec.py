"""Text to token ids and back, with no way for text to spell a control token.

A tokenizer's added tokens (`<|im_end|>`, `</think>`, ...) are parsed out of any text that it encodes. Here the
chat template's own words go through the tokenizer as it is, and everybody else's through a copy without added tokens,
so that a control token's spelling becomes the ordinary pieces of its characters. Knows tokens, not chats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer

from extractft.errors import PromptError

__all__ = ["TextCodec"]

EMPTY_MODEL = {"type": "BPE", "vocab": {}, "merges": []}
PREFIXES = frozenset({"Prepend"})
"""Normalizers that put a space before each piece."""
COMPOSITION = frozenset({"NFC"})
"""Left out, since texts come composed: the tokenizer's tables may be of another Unicode version than Python's."""
UNASSIGNED = "\U0010fffe"
"""A noncharacter that no vocabulary holds: shows how a tokenizer spells the unknown."""

WORDS_KEPT = 1024
"""Words whose tokens the `tokenizers` library remembers. Its own 10,000 are customers' words, 2 KiB each."""


class TextCodec:
    """Encodes template words, foreign text and answers with one tokenizer. Foreign text comes composed (NFC).

    Tokenizers in the manner of SentencePiece put a space before each piece that they encode. The pieces here stand in
    the middle of a prompt, so the copies leave that out; only the head of the prompt is encoded with the tokenizer's
    own habit. `U+2581`, which such tokenizers use for the space, is read as a space by them and by their decoders.

    Args:
        backend: The fast tokenizer. It is not changed but for remembering fewer words, and not used after construction
            other than by the template.

    Attributes:
        control_ids: Ids of the added tokens that mean something else than their characters. Runs of white space and
            single characters, which some vocabularies list as added tokens, are text.
    """

    def __init__(self, backend: Tokenizer) -> None:
        added = backend.get_added_tokens_decoder()
        self.control_ids = frozenset(i for i, token in added.items() if token.special or not _is_text(token.content))
        self._full = _without_limits(backend)
        self._inner = _without_prefix(self._full)
        self._plain = _without_added_tokens(backend)
        unknown = [i for i in self._plain.encode(UNASSIGNED, add_special_tokens=False).ids if i in self.control_ids]
        self._unknown_id = unknown[0] if unknown else None

    def encode_template(self, text: str, *, head: bool = False) -> list[int]:
        """Ids of the template's own words, control tokens parsed.

        Args:
            text: A piece of the rendered template.
            head: True if it opens the prompt.
        """
        return list((self._full if head else self._inner).encode(text, add_special_tokens=False).ids)

    def encode(self, text: str) -> list[int]:
        """Ids of foreign text: no control id among them, whatever it spells.

        A character that a tokenizer without byte fallback does not know becomes its unknown token.

        Raises:
            PromptError: The tokenizer has a control token of one character and the text holds that character.
        """
        encoding = self._plain.encode(text, add_special_tokens=False)
        if self.control_ids.isdisjoint(encoding.ids):
            return list(encoding.ids)
        if len(text) > 1:
            spans = [o for i, o in zip(encoding.ids, encoding.offsets, strict=True) if i in self.control_ids]
            return [i for piece in _cut(text, spans) for i in self.encode(piece)]
        if self.control_ids.intersection(encoding.ids) == {self._unknown_id}:
            return list(encoding.ids)
        raise PromptError(
            "expected ordinary tokens for a text, found that the tokenizer has only a control token for one of its "
            "characters"
        ).hint("Choose another base model, or remove the character from the text.")

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids, exactly as encoded: nothing skipped, no spaces cleaned up.

        Raises:
            PromptError: An id that the tokenizer does not have.
        """
        tokens = []
        for i in ids:
            token = self._full.id_to_token(int(i))
            if token is None:
                raise PromptError(f"expected ids of the tokenizer, found {int(i)}")
            tokens.append(token)
        decoder = self._plain.decoder
        return "".join(tokens) if decoder is None else str(decoder.decode(tokens))


def _is_text(content: str) -> bool:
    return len(content) == 1 or not content.replace("\u2581", " ").strip()


def _cut(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Cut a text into the characters inside the spans and the pieces between them.

    Spans that show no progress (empty ones) cut the whole text into characters.
    """
    cuts = {0, len(text)}
    for start, end in spans:
        cuts.update(range(start, end + 1))
    if len(cuts) == 2 or any(start >= end for start, end in spans):
        return list(text)
    edges = sorted(cuts)
    return [text[a:b] for a, b in pairwise(edges)]


def _state(component: Any) -> dict[str, Any] | None:
    """The JSON form of a normalizer, pre-tokenizer or decoder."""
    return None if component is None else json.loads(component.__getstate__())


def _simplified(component: dict[str, Any] | None, *, dropped: frozenset[str]) -> dict[str, Any] | None:
    """A component that adds no space before a piece, and strips or tidies none.

    Args:
        component: JSON form of a normalizer, pre-tokenizer or decoder.
        dropped: Types that are left out of it.
    """
    if component is None or component["type"] in dropped:
        return None
    changes: dict[str, Any] = {}
    match component["type"]:
        case "Sequence":
            for key in {"normalizers", "pretokenizers", "decoders"}.intersection(component):
                parts = [_simplified(part, dropped=dropped) for part in component[key]]
                changes[key] = [part for part in parts if part is not None]
        case "Metaspace":
            changes["prepend_scheme"] = "never"
        case "ByteLevel":
            changes["add_prefix_space"] = False
        case "Strip" if "start" in component:
            changes["start"] = 0
        case "WordPiece":
            changes["cleanup"] = False
    return {**component, **changes}


def _without_added_tokens(backend: Tokenizer) -> Tokenizer:
    """A tokenizer with the same vocabulary (shared, not copied) that knows no added tokens."""
    shell: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": _simplified(_state(backend.normalizer), dropped=PREFIXES | COMPOSITION),
        "pre_tokenizer": _simplified(_state(backend.pre_tokenizer), dropped=PREFIXES),
        "post_processor": None,
        "decoder": _simplified(_state(backend.decoder), dropped=PREFIXES),
        "model": EMPTY_MODEL,
    }
    plain = Tokenizer.from_str(json.dumps(shell))
    model: Any = backend.model
    if hasattr(model, "_resize_cache"):
        model._resize_cache(WORDS_KEPT)
    plain.model = model
    return plain


def _without_limits(backend: Tokenizer) -> Tokenizer:
    """The tokenizer itself, or a copy if somebody has set truncation or padding on it."""
    if backend.truncation is None and backend.padding is None:
        return backend
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _without_prefix(full: Tokenizer) -> Tokenizer:
    """The tokenizer itself, or a copy that puts no space before the pieces that it encodes."""
    states = {name: _state(getattr(full, name)) for name in ("normalizer", "pre_tokenizer")}
    plain = {name: _simplified(state, dropped=PREFIXES) for name, state in states.items()}
    if plain == states:
        return full
    return Tokenizer.from_str(json.dumps({**json.loads(full.to_str()), **plain}))
