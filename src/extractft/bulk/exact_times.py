"""Times of nanoseconds, which Arrow has and Python has not: written whole as text, or refused. Knows no rows.

Python's own times end at the microsecond. A `timestamp[ns]` or `duration[ns]` arrives as a time of pandas that still
knows its nanoseconds; a `time64[ns]` arrives cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extractft.data.column_names import display_name
from extractft.errors import DatasetError

__all__ = ["require_whole_microseconds", "written_whole"]


def written_whole(value: Any) -> Any:
    """The value, with each time that has nanoseconds as its text of ISO 8601."""
    if isinstance(value, dict):
        return {key: written_whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [written_whole(inner) for inner in value]
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):  # of pandas
        return value.isoformat()
    return value


def require_whole_microseconds(path: Path, columns: tuple[str, ...]) -> None:
    """Refuse a Parquet file with times of day that Python would cut.

    Args:
        path: The file.
        columns: Columns that are kept.

    Raises:
        DatasetError: A column has such times.
    """
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError):
        return  # whoever reads it says so
    for column in columns:
        if column not in file.schema_arrow.names:
            continue
        target = _in_microseconds(file.schema_arrow.field(column).type)
        if target is None:
            continue
        try:
            for batch in file.iter_batches(columns=[column]):
                batch.column(0).cast(target)
        except pyarrow.ArrowInvalid as error:
            found = f"expected times of whole microseconds in the column {display_name(column)}, found nanoseconds"
            raise DatasetError(f"{path.name}: {found}").hint(
                "Python's times of day are cut there. Write the column as text or as a number, or leave it out."
            ) from error


def _in_microseconds(kind: Any) -> Any:
    """The type with its times of day in microseconds; `None` if it has none in nanoseconds."""
    import pyarrow

    if kind == pyarrow.time64("ns"):
        return pyarrow.time64("us")
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        inner = _in_microseconds(kind.value_type)
        return None if inner is None else pyarrow.list_(inner)
    if pyarrow.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        found = [_in_microseconds(field.type) for field in fields]
        if not any(inner is not None for inner in found):
            return None
        return pyarrow.struct([(field.name, inner or field.type) for field, inner in zip(fields, found, strict=True)])
    return None
