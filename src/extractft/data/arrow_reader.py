"""Raw rows out of Arrow data: Parquet files, and folders that `datasets.Dataset.save_to_disk` wrote. Knows no schema.

Both are read in pieces, so that a large file costs no memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from extractft.data.column_names import display_name
from extractft.data.raw_row import RawTable, numbered_rows
from extractft.errors import DatasetError

__all__ = ["is_saved_dataset", "read_parquet", "read_saved_dataset"]

BATCH_ROWS = 1024
SAVED_DATASET_FILES = ("dataset_info.json", "state.json")


def read_parquet(path: Path, wanted: Collection[str] | None = None) -> RawTable:
    """The columns and the rows of a Parquet file.

    Args:
        path: The file.
        wanted: Columns that rows have, of those that there are; all if `None`. The others are not read.

    Raises:
        DatasetError: The file is not Parquet, or (while reading) broken.
    """
    import pyarrow.parquet  # comes with datasets; loaded only for Parquet, since it takes a while

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: expected a Parquet file, found something else") from error
    names = tuple(file.schema_arrow.names)
    read = None if wanted is None else [name for name in names if name in wanted]
    return RawTable(names, numbered_rows(_values(file, path.name, read)))


def _values(file: Any, name: str, columns: list[str] | None) -> Iterator[Any]:
    import pyarrow

    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield from _python_values(batch, name)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{name}: the Parquet file is broken ({type(error).__name__})") from error


def _python_values(batch: Any, name: str) -> list[Any]:
    """The rows of a batch.

    Raises:
        DatasetError: Python has no such values, as times before the year 1 or after 9999.
    """
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError) as error:
        found = next((column for column in batch.schema.names if not _has_python_values(batch[column])), "")
        message = f"{name}: expected values that Python has in the column {display_name(found)}, found others"
        raise DatasetError(f"{message} ({type(error).__name__})").hint(
            "Python's times end with the year 9999, and at the microsecond. Write the column as text, or leave it out."
        ) from error


def _has_python_values(column: Any) -> bool:
    try:
        column.to_pylist()
    except (ValueError, OverflowError):
        return False
    return True


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
