"""Raw rows out of Arrow data: Parquet files, and folders that `datasets.Dataset.save_to_disk` wrote. Knows no schema.

Both are read in pieces, so that a large file costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractft.data.raw_row import RawTable, numbered_rows
from extractft.errors import DatasetError

__all__ = ["is_saved_dataset", "read_parquet", "read_saved_dataset"]

BATCH_ROWS = 1024
SAVED_DATASET_FILES = ("dataset_info.json", "state.json")


def read_parquet(path: Path) -> RawTable:
    """The columns and the rows of a Parquet file.

    Raises:
        DatasetError: The file is not Parquet, or (while reading) broken.
    """
    import pyarrow.parquet  # comes with datasets; loaded only for Parquet, since it takes a while

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: expected a Parquet file, found something else") from error
    return RawTable(tuple(file.schema_arrow.names), numbered_rows(_values(file, path.name)))


def _values(file: Any, name: str) -> Iterator[Any]:
    import pyarrow

    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{name}: the Parquet file is broken ({type(error).__name__})") from error


def is_saved_dataset(path: Path) -> bool:
    """True for the folder of one saved `Dataset`; a `DatasetDict` is a folder of such folders."""
    return all((path / name).is_file() for name in SAVED_DATASET_FILES)


def read_saved_dataset(path: Path) -> RawTable:
    """The columns and the rows; the Arrow files are memory-mapped, so a large dataset costs no memory.

    Raises:
        DatasetError: The folder is damaged.
    """
    import datasets  # takes most of a second, which only those who read such a folder should wait for

    try:
        dataset = datasets.load_from_disk(str(path)).with_format(None)
    except Exception as error:  # datasets lets errors of JSON, of Arrow and of its own features through
        raise DatasetError(f"{path.name}: the saved dataset cannot be read ({type(error).__name__})").hint(
            "Save it again with Dataset.save_to_disk."
        ) from error
    return RawTable(tuple(dataset.column_names), numbered_rows(dataset))
