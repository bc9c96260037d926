"""The shards that are left to do, read out of the input by whatever process is given the list. Knows no records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_files import InputFiles
from extractft.bulk.input_row import InputRow, rows_digest, shards_of
from extractft.errors import BulkRunError

__all__ = ["ShardTask", "ShardTasks"]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Rows of a shard that are decoded together.

    Attributes:
        number: The number of the shard.
        rows: All of its rows, or those that are decoded once more.
    """

    number: int
    rows: list[InputRow]


@dataclass(frozen=True, slots=True)
class ShardTasks:
    """The shards that are left to do.

    Attributes:
        files: The input.
        config: Settings of the run.
        done: By number of a shard that is done, the digest of its rows.
        again: By number of a shard that is done, the places of rows that are decoded once more.
    """

    files: InputFiles
    config: BulkConfig
    done: Mapping[int, str]
    again: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ShardTask]:
        """The tasks, in the order of the input.

        Raises:
            BulkRunError: A row of a shard that is done is not what it was.
        """
        for number, rows in enumerate(shards_of(self.files.rows(), self.config)):
            if number not in self.done:
                yield ShardTask(number, rows)
                continue
            if self.done[number] != rows_digest(rows):
                raise BulkRunError(f"Expected the rows that shard {number} was made of, found others in the input.")
            if self.again.get(number):
                yield ShardTask(number, [rows[place] for place in self.again[number]])
