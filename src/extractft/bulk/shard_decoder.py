"""From the rows of a shard to their results: equal texts once, everything else by the extractor. Knows no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.bulk.row_result import RowResult, result_of
from extractft.bulk.text_index import TextIndex

__all__ = ["DecodedShard", "InspectsTexts", "RowNotice", "ShardDecoder", "decode_texts"]

NO_TEXT = "DatasetError"
"""The kind of error of a row that could not be read."""

RowNotice = Callable[[RowResult, bool], None]
"""Told of each result as it comes, and whether it was known before."""


class InspectsTexts(Protocol):
    """The part of an `Extractor` that a bulk run needs."""

    schema: Any

    def inspect_many(self, texts: Iterable[str], *, batch_size: int | None, explain: Sequence[str]) -> Iterator[Any]:
        """The outcome of each text, in order."""
        ...


def decode_texts(extractor: InspectsTexts, texts: Sequence[str], config: BulkConfig) -> Iterator[RowResult]:
    """The result of each text, in order. What runs on one machine and on many has in common.

    Args:
        extractor: Decodes.
        texts: The texts.
        config: Settings of the run.
    """
    parts = config.parts
    outcomes = extractor.inspect_many(texts, batch_size=config.batch_size, explain=parts)
    return (result_of(outcome, extractor.schema, parts) for outcome in outcomes)


@dataclass(frozen=True, slots=True)
class DecodedShard:
    """The results of a shard's rows.

    Attributes:
        results: In the order of the rows.
        reused: Rows whose text had been decoded before.
        tokens: Tokens that were decoded.
    """

    results: list[RowResult]
    reused: int
    tokens: int


class ShardDecoder:
    """Decodes the rows of shards.

    Args:
        extractor: Decodes.
        config: Settings of the run.
        index: Results of earlier shards, if equal texts are to be decoded once; it gets those of each shard.
        notice: Told of each result.
    """

    def __init__(
        self, extractor: InspectsTexts, config: BulkConfig, index: TextIndex | None, notice: RowNotice
    ) -> None:
        self._extractor = extractor
        self._config = config
        self._index = index
        self._notice = notice

    def decode(self, number: int, rows: Sequence[InputRow]) -> DecodedShard:
        """The results of the rows of a shard.

        Args:
            number: The number of the shard.
            rows: Its rows.
        """
        readable = [row for row in rows if row.text is not None]
        if self._index is None:
            made = list(self._decoded([row.text or "" for row in readable]))
            found = iter(made)
            results = [self._unread(row) if row.text is None else next(found) for row in rows]
            return DecodedShard(results, 0, sum(result.tokens for result in made))
        digests = [row.text_digest for row in readable]
        texts = dict(zip(digests, (row.text or "" for row in readable), strict=True))
        known = self._index.results(list(texts), before=number)
        new = [digest for digest in texts if digest not in known]
        fresh = dict(zip(new, self._decoded([texts[digest] for digest in new]), strict=True))
        self._index.add(number, fresh)
        found = iter([known.get(digest) or fresh[digest] for digest in digests])
        results = [self._unread(row) if row.text is None else next(found) for row in rows]
        reused = self._tell_of_equal(digests, fresh, known)
        return DecodedShard(results, reused, sum(result.tokens for result in fresh.values()))

    def _decoded(self, texts: Sequence[str]) -> Iterator[RowResult]:
        for result in decode_texts(self._extractor, texts, self._config):
            self._notice(result, False)
            yield result

    def _unread(self, row: InputRow) -> RowResult:
        result = RowResult(error=NO_TEXT, message=row.problem)
        self._notice(result, False)
        return result

    def _tell_of_equal(
        self, digests: Sequence[bytes], fresh: Mapping[bytes, RowResult], known: Mapping[bytes, RowResult]
    ) -> int:
        """Tell of the rows that were not decoded, and count them."""
        untold = set(fresh)
        reused = 0
        for digest in digests:
            if digest in untold:
                untold.remove(digest)
            else:
                self._notice(known.get(digest) or fresh[digest], True)
                reused += 1
        return reused
