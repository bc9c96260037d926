"""Raw rows out of Parquet files, read in batches so that a large file costs no memory. Knows no schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractft.data.raw_row import RawTable, numbered_rows
from extractft.errors import DatasetError

__all__ = ["read_parquet"]

BATCH_ROWS = 1024


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
