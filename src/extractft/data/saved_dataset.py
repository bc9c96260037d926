"""Rows of a folder that `datasets.Dataset.save_to_disk` wrote. Knows no schema."""

from __future__ import annotations

from pathlib import Path

from extractft.data.raw_row import RawTable, numbered_rows
from extractft.errors import DatasetError

__all__ = ["is_saved_dataset", "read_saved_dataset"]

MARKS = ("dataset_info.json", "state.json")


def is_saved_dataset(path: Path) -> bool:
    """True for the folder of one saved `Dataset`; a `DatasetDict` is a folder of such folders."""
    return all((path / name).is_file() for name in MARKS)


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
