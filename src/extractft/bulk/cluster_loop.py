"""The loop over the shards of a run that a cluster decodes; this machine reads and publishes. Knows no formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extractft.bulk.extractor_worker import WorkerRecipe
from extractft.bulk.field_counts import RunCounts
from extractft.bulk.ray_actors import RayActors
from extractft.bulk.ray_shards import decode_on_ray
from extractft.bulk.run_folder import FAILED
from extractft.bulk.run_progress import RunProgress
from extractft.bulk.shard_decoder import DecodedShard
from extractft.bulk.shard_loop import TRIM_EVERY, ShardLoop
from extractft.bulk.shard_tasks import ShardTask, ShardTasks
from extractft.bulk.stopped_runs import release_memory
from extractft.schema.field_presence import field_places

__all__ = ["ClusterLoop"]


class ClusterLoop(ShardLoop):
    """The shards of one call, decoded by actors of Ray and published here, in the order in which they come.

    Args:
        *parts: As for `ShardLoop`.
        actors: The actors.
    """

    def __init__(self, *parts: Any, actors: RayActors) -> None:
        super().__init__(*parts)
        self._actors = actors

    def _decode_missing(self) -> None:
        done = {number: mark["input"] for number, mark in self._folder.marks()}
        for number, (task, decoded) in enumerate(self._decoded(ShardTasks(self._files, self._config, done))):
            self._counts += self._publisher.publish(task.number, task.rows, decoded)
            if number % TRIM_EVERY == 0:
                release_memory()

    def _retry(self) -> None:
        marks = dict(self._folder.marks())
        counts = RunCounts.of((), field_places(self._source.schema), None)
        for mark in marks.values():
            if not mark["places"][FAILED]:
                counts += RunCounts.from_dict(mark["counts"])
        self._progress = RunProgress(self._counts.failed)
        done = {number: mark["input"] for number, mark in marks.items()}
        again = {number: mark["places"][FAILED] for number, mark in marks.items()}
        for task, decoded in self._decoded(ShardTasks(self._files, self._config, done, again)):
            rows = dict(zip(again[task.number], task.rows, strict=True))
            counts += self._publisher.add(task.number, marks[task.number], rows, decoded)
        self._counts = counts

    def _decoded(self, tasks: ShardTasks) -> Iterator[tuple[ShardTask, DecodedShard]]:
        """The shards with their results, each counted when it comes."""
        recipe = WorkerRecipe.of(self._source, self._config)
        for task, decoded in decode_on_ray(tasks, recipe, self._actors):
            for result in decoded.results:
                self._notice(result, True)
            self._progress.tokens += decoded.tokens
            yield task, decoded
