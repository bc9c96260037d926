"""The extractor on a machine of a cluster: loaded once, given rows to decode. Knows no cluster and no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.input_row import InputRow
from extractft.bulk.shard_decoder import DecodedShard, ShardDecoder
from extractft.bulk.text_index import TextIndex
from extractft.errors import ArtifactError

__all__ = ["ExtractorWorker", "WorkerRecipe"]

IN_MEMORY = Path(":memory:")
"""The place of an index that is gone with the rows that it is for."""


@dataclass(frozen=True, slots=True)
class WorkerRecipe:
    """All that a machine has to know to make a worker.

    Attributes:
        find: Finds the extractor there.
        identity: What it has to be, by content.
        config: Settings of the run.
    """

    find: Callable[[], ExtractorSource]
    identity: dict[str, Any]
    config: BulkConfig

    @classmethod
    def of(cls, source: ExtractorSource, config: BulkConfig) -> WorkerRecipe:
        """The recipe for workers with an extractor."""
        return cls(source.elsewhere(), dict(source.identity), config)


class ExtractorWorker:
    """Decodes rows with an extractor of its own.

    Args:
        recipe: The extractor and the settings.

    Raises:
        ArtifactError: The extractor is not on this machine, or another one stands in its place.
    """

    def __init__(self, recipe: WorkerRecipe) -> None:
        source = recipe.find()
        if dict(source.identity) != recipe.identity:
            raise ArtifactError("Expected the extractor of the run, found another one in its place on a worker.").hint(
                "Let every machine see the same directory, or copy the same one to each."
            )
        self.schema = source.schema
        self._extractor = source.load()
        self._config = recipe.config

    def decode(self, number: int, rows: Sequence[InputRow], *, anew: bool = True) -> DecodedShard:
        """The results of rows, equal texts among them decoded once.

        Args:
            number: The number of their shard.
            rows: The rows.
            anew: Decode them as a worker would that had decoded nothing before.
        """
        with closing(TextIndex(IN_MEMORY)) if self._config.reuse_equal else nullcontext() as index:
            decoder = ShardDecoder(self._extractor, self._config, index, _ignore)
            if anew:
                decoder.begin_anew()
            return decoder.decode(number, rows)


def _ignore(result: Any, reused: bool) -> None:
    """Count nothing: whoever gets the results does."""
