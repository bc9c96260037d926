"""What drafts have learned, apart from what records say: kept with an extractor, whose first records are fast then.

Kept are keys and other strings of the schema and what follows them, words around values that stand in several texts,
rates of guesses, and the worth of clues, whose hashes are folded into 18 bits. Values of records are not. Knows tokens
and bytes; knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from extractft.decoding.draft_memory import Context, Kind, Tables
from extractft.decoding.standing import Standing

__all__ = ["Experience"]

_VERSION = 1
"""Of what tables and clues mean."""
_HASHES = hash((1, 2))
"""Clues are hashes of tuples of whole numbers: a Python that hashes them in another way has other clues."""
_NOWHERE = Standing("value")


@dataclass(frozen=True, slots=True)
class Experience:
    """What one extractor's drafts know before its first record.

    Attributes:
        tables: Of a `DraftMemory`, in part.
    """

    tables: Tables

    @classmethod
    def of(
        cls, tables: Tables, *, known: Collection[bytes], common: Collection[bytes], spelling: Callable[[int], bytes]
    ) -> Experience:
        """What may be kept of all that was learned.

        Args:
            tables: What was learned.
            known: The strings of the schema: keys, and values that it spells out.
            common: Words of texts that tell nobody's text from another's.
            spelling: The bytes of a token.
        """
        keeper = _Keeper(frozenset(known), spelling)
        followers = {context: keeper.followers(context, entry) for context, entry in tables.followers.items()}
        return cls(
            Tables(
                followers={context: entry for context, entry in followers.items() if entry},
                starts=keeper.around(tables.starts, common),
                stops=keeper.around(tables.stops, common),
                rates=tables.rates,
                worths=tables.worths,
            )
        )

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tables = self.tables
        places = sorted(tables.worths)
        spelled = {
            "version": _VERSION,
            "hashes": _HASHES,
            "followers": _spelled(tables.followers),
            "starts": _spelled(tables.starts),
            "stops": _spelled(tables.stops),
            "rates": _spelled(tables.rates),
        }
        text = json.dumps(spelled, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return bytes(
            save(
                {
                    "places": torch.tensor(places, dtype=torch.int32),
                    "worths": torch.tensor([tables.worths[place] for place in places]).reshape(-1, 2),
                    "tables": torch.tensor(list(text), dtype=torch.uint8),
                }
            )
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Experience | None:
        """What `to_bytes` wrote; `None` if another version did, to which clues and tables mean something else.

        Raises:
            ValueError: It is damaged.
        """
        try:
            tensors = load(content)
            spelled = json.loads(bytes(tensors["tables"].tolist()))
            if (spelled["version"], spelled["hashes"]) != (_VERSION, _HASHES):
                return None
            places, worths = tensors["places"].tolist(), tensors["worths"].tolist()
            tables = Tables(
                followers=_read(spelled["followers"]),
                starts=_read(spelled["starts"]),
                stops=_read(spelled["stops"]),
                rates={kind: (right, number) for kind, (right, number) in _read(spelled["rates"]).items()},
                worths={place: (worth, error) for place, (worth, error) in zip(places, worths, strict=True)},
            )
            tables.check()
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"not what drafts have learned: {type(error).__name__}") from error
        return cls(tables)


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Chooses what spells nothing but strings of the schema."""

    known: frozenset[bytes]
    spelling: Callable[[int], bytes]

    def followers(self, context: Context, entry: list[int]) -> list[int]:
        standing = _standing(context)
        if standing is None or not self._spells_known(standing, _NOWHERE):
            return []
        pairs = zip(entry[::2], entry[1::2], strict=True)
        kept = [(token, n) for token, n in pairs if self._spells_known(standing.after(self.spelling(token)), standing)]
        return [number for pair in kept for number in pair]

    def around(self, table: Mapping[Context, list[int]], common: Collection[bytes]) -> dict[Context, list[int]]:
        """Entries of a field and common words."""
        return {
            (field, *words): entry
            for (field, *words), entry in table.items()
            if (not field or field in self.known) and all(not word or word in common for word in words)
        }

    def _spells_known(self, standing: Standing, before: Standing) -> bool:
        known = self.known
        return (
            not standing.escaped
            and (standing.field == before.field or standing.field in known)
            and (standing.last == before.last or not standing.last or standing.last in known)
            and (not standing.written or any(word.startswith(standing.written) for word in known))
        )


def _standing(context: Context) -> Standing | None:
    """The place that a context is, as far as it says; `None` if it is no place, but the last two tokens."""
    if context[0] == "close":
        _, field, depth = context
        return Standing("value", True, b"", field, b"{" * depth)
    if isinstance(context[0], str):
        part, (quoted, escaped), field, depth, written = context
        return Standing(part, quoted, written, field, b"{" * depth, escaped=escaped)
    return None


def _spelled(table: Mapping[Context | Kind, Any]) -> list[list[Any]]:
    return [[_as_json(key), list(entry)] for key, entry in table.items()]


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _read(table: list[list[Any]]) -> dict[Any, Any]:
    return {_from_json(key): entry for key, entry in table}


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return value["bytes"].encode("latin-1")
    return tuple(_from_json(item) for item in value) if isinstance(value, list) else value
