"""From the rows of a shard to their results: equal texts once, everything else by the extractor. Knows no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.bulk.row_result import RowResult, result_of
from extractft.bulk.text_index import TextIndex
from extractft.errors import EngineError

__all__ = ["DecodedShard", "InspectsTexts", "RowNotice", "ShardDecoder", "decode_texts"]

NO_TEXT = "DatasetError"
"""The kind of error of a row that could not be read."""

MOST_UNANSWERED = 128
"""Texts in a row without an answer, after which nobody asks a server any more."""

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

    def begin_anew(self) -> None:
        """Let nothing but a shard's own rows tell how it is decoded, whatever was decoded before it in this process.

        What an engine has learned for its drafts changes no record, but which tokens go through the model together,
        and with that the last digits of confidences.
        """
        forget = getattr(getattr(self._extractor, "engine", None), "forget_drafts", None)
        if forget is not None:
            forget()

    def decode(self, number: int, rows: Sequence[InputRow]) -> DecodedShard:
        """The results of the rows of a shard.

        Args:
            number: The number of the shard.
            rows: Its rows.
        """
        readable = [row for row in rows if row.text is not None]
        if self._index is None:
            made = self._decoded([row.text or "" for row in readable])
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

    def _decoded(self, texts: Sequence[str]) -> list[RowResult]:
        """The result of each text; texts that a server did not answer are asked for once more.

        Raises:
            EngineError: The server is gone.
        """
        results: list[RowResult] = []
        unanswered = 0
        for result in decode_texts(self._extractor, texts, self._config):
            results.append(result)
            unanswered = unanswered + 1 if result.retryable else 0
            if unanswered == MOST_UNANSWERED:
                raise _gone(result)
            if not result.retryable:
                self._notice(result, False)
        self._ask_again(texts, results)
        return results

    def _ask_again(self, texts: Sequence[str], results: list[RowResult]) -> None:
        """Put new results in the places of texts that a server did not answer.

        One text that it did answer is asked for as well: if that has no answer either, it is not the texts.

        Raises:
            EngineError: The server is gone.
        """
        places = [place for place, result in enumerate(results) if result.retryable]
        if not places:
            return
        answered = [place for place, result in enumerate(results) if not result.retryable][:1]
        again = list(decode_texts(self._extractor, [texts[place] for place in places + answered], self._config))
        if again[-1].retryable and (answered or all(result.retryable for result in again)):
            raise _gone(again[-1])
        for place, result in zip(places, again, strict=False):
            results[place] = result
            self._notice(result, False)

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


def _gone(result: RowResult) -> EngineError:
    return EngineError(f"The server does not answer any more: {result.message}").hint("Start it again first.")
