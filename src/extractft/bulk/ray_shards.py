"""Shards decoded by actors of a Ray cluster: read on this machine, decoded anywhere, given back as they come.

Ray Data does what there is to do: it streams the shards, holds the reader back when the actors cannot follow, makes
and ends actors, and gives a shard whose actor or machine is gone to another one. Knows no files of the output.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from extractft.bulk.extractor_worker import ExtractorWorker, WorkerRecipe
from extractft.bulk.ray_actors import RayActors, import_ray, ray_errors_in_words
from extractft.bulk.shard_decoder import DecodedShard
from extractft.bulk.shard_tasks import ShardTask, ShardTasks
from extractft.errors import ExtractFTError

__all__ = ["decode_on_ray"]

T = TypeVar("T")

COLUMN = "task"
SHARD_BLOCKS = {"target_max_block_size": 1, "target_min_block_size": 1, "enable_progress_bars": False}
"""Settings of Ray Data that make a block of each shard; those that a dataset has when it is made stay with it."""


class ShardActor:
    """Decodes shards in an actor. Errors of ours are results: Ray would give back no more than their text.

    Args:
        recipe: The extractor and the settings.
    """

    def __init__(self, recipe: WorkerRecipe) -> None:
        self._worker = _or_error(lambda: ExtractorWorker(recipe))

    def __call__(self, table: Any) -> Any:
        """Shards with their results."""
        return _table(*(self._decoded(pickle.loads(cell.as_py())) for cell in table[COLUMN]))

    def _decoded(self, task: ShardTask | ExtractFTError) -> tuple[ShardTask, DecodedShard] | ExtractFTError:
        worker = self._worker
        if isinstance(task, ExtractFTError):
            return task
        if isinstance(worker, ExtractFTError):
            return worker
        return _or_error(lambda: (task, worker.decode(task.number, task.rows)))


def decode_on_ray(
    tasks: ShardTasks, recipe: WorkerRecipe, actors: RayActors
) -> Iterator[tuple[ShardTask, DecodedShard]]:
    """Decode shards on the cluster that this process is connected to, in any order.

    Args:
        tasks: The shards.
        recipe: The extractor and the settings.
        actors: The actors.

    Raises:
        ExtractFTError: As decoding on this machine does.
        BulkRunError: Ray gave up.
    """
    with ray_errors_in_words(), _quiet():
        for row in _dataset(tasks, recipe, actors).iter_rows():
            found = pickle.loads(row[COLUMN])
            if isinstance(found, ExtractFTError):
                raise found
            yield found


def _dataset(tasks: ShardTasks, recipe: WorkerRecipe, actors: RayActors) -> Any:
    """The dataset of shards with their results, not computed yet."""
    ray = import_ray()
    context = ray.data.DataContext.get_current()
    before = {name: getattr(context, name) for name in SHARD_BLOCKS}
    try:
        for name, value in SHARD_BLOCKS.items():
            setattr(context, name, value)
        # The reader waits most of the time and needs no processor of its own: a head node may have none to give.
        read = ray.data.read_datasource(_source(tasks), override_num_blocks=1, num_cpus=0)
        return read.map_batches(
            ShardActor,
            fn_constructor_args=(recipe,),
            batch_size=1,
            batch_format="pyarrow",
            **actors.map_options(),
        )
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _or_error(make: Callable[[], T]) -> T | ExtractFTError:
    try:
        return make()
    except ExtractFTError as error:
        return error


def _tasks_or_error(tasks: ShardTasks) -> Iterator[ShardTask | ExtractFTError]:
    """The shards; an error of the reader in place of those that cannot be read."""
    try:
        yield from tasks
    except ExtractFTError as error:
        yield error


def _table(*found: Any) -> Any:
    import pyarrow

    return pyarrow.table({COLUMN: [pickle.dumps(value) for value in found]})


def _source(tasks: ShardTasks) -> Any:
    """The shards as a source of Ray Data, read where the files are: on this machine."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class ShardSource(Datasource):  # type: ignore[misc]
        """One task that reads shard after shard."""

        supports_distributed_reads = False

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            """The task."""
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(lambda: (_table(found) for found in _tasks_or_error(tasks)), unknown)]

        def estimate_inmemory_data_size(self) -> None:
            """Unknown: the input has not been read."""

    return ShardSource()


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray Data say nothing but errors: a run has a progress of its own."""
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
