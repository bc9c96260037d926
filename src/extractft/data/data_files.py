"""Find the data files that a path, a folder, a pattern or a list of these names. Reads none of them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extractft.data.arrow_reader import is_saved_dataset
from extractft.data.compression import COMPRESSED_ENDINGS, without_compression
from extractft.data.excel_reader import EXCEL_ENDINGS
from extractft.errors import DatasetError

__all__ = ["ENDINGS", "TEXT_ENDINGS", "file_ending", "find_data_files"]

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", *EXCEL_ENDINGS)
TEXT_ENDINGS = (*ENDINGS, ".txt")
SAVED_DATASET = "saved dataset"
"""Stands for the ending of a folder that `datasets.Dataset.save_to_disk` wrote."""
NEVER_ZIPPED = frozenset((".parquet", *EXCEL_ENDINGS))
LONGEST_NAME = 255
SUFFIX = re.compile(r"\.[A-Za-z]\w{0,7}")
OTHER_ENDINGS = {
    ".xls": "Save it as .xlsx, or pass pandas.read_excel(path, dtype=str).",
    ".ods": "Save it as .xlsx or as CSV UTF-8, or pass pandas.read_excel(path, dtype=str).",
    ".txt": "A table that a spreadsheet program saved as text with tabs is named .tsv.",
    ".zip": "Unpack it.",
    ".arrow": "Pass the folder that Dataset.save_to_disk wrote, or a pyarrow Table.",
}
SPLIT_WORDS = frozenset(
    ("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "heldout")
)


def find_data_files(data: Any, endings: Sequence[str] = ENDINGS) -> list[Path] | None:
    """The files that `data` names, in order; `None` if it is not made of paths.

    Args:
        data: A path, a folder, a pattern such as `"data/*.jsonl"`, or a list of these.
        endings: Those that files may have.

    Raises:
        DatasetError: One of them does not exist, or a folder does not say which files are meant.
    """
    if isinstance(data, str | os.PathLike):
        return _files_named(data, endings)
    if not isinstance(data, list | tuple) or not data or not all(isinstance(item, str | os.PathLike) for item in data):
        return None
    if not any(isinstance(item, os.PathLike) or _looks_like_path(item, endings) or _exists(item) for item in data):
        return None  # texts, not paths
    return [file for item in data for file in _files_named(item, endings)]


def file_ending(path: Path, endings: Sequence[str] = ENDINGS) -> str:
    """The lower-case ending of a file, without that of its compression; `SAVED_DATASET` for such a folder.

    Raises:
        DatasetError: An unknown ending.
    """
    if is_saved_dataset(path):
        return SAVED_DATASET
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = "".join(suffixes[-1:]) in COMPRESSED_ENDINGS
    ending = (suffixes[-2:-1] if zipped else suffixes[-1:]) or [""]
    if ending[0] not in endings or (zipped and ending[0] in NEVER_ZIPPED):
        error = DatasetError(f"{path.name}: unknown file ending {''.join(suffixes[-2:]) or '(none)'}").hint(
            f"Expected one of {', '.join(endings)}; all but {', '.join(sorted(NEVER_ZIPPED))} may be compressed "
            f"({', '.join(COMPRESSED_ENDINGS)})."
        )
        raise error.hint(OTHER_ENDINGS[ending[0]]) if ending[0] in OTHER_ENDINGS else error
    return ending[0]


def _files_named(item: str | os.PathLike[str], endings: Sequence[str]) -> list[Path]:
    """The files that one path, folder or pattern names.

    Raises:
        DatasetError: There are none.
    """
    found = _matches(str(item))
    if found[:1] and is_saved_dataset(found[0]):
        return found
    if found[:1] and found[0].is_dir():
        return _in_folder(found[0], endings)
    if found:
        return found
    name = Path(item).name if isinstance(item, os.PathLike) or _looks_like_path(str(item), endings) else ""
    shown = name if name.isprintable() and 0 < len(name) <= LONGEST_NAME else f"<{len(str(item))} characters>"
    raise DatasetError(f"no such file: {shown}").hint(
        f"Expected the path of a file ({', '.join(endings)}), a folder, a pattern or a list of rows."
    )


def _matches(item: str) -> list[Path]:
    """The file or folder of that name, or the files that match the pattern; none for a text that is not a path."""
    if not item.strip():  # not the directory "."
        return []
    try:
        path = Path(item).expanduser()
        if path.exists():
            return [path]
        if glob.has_magic(item) and item.isprintable() and len(item) <= LONGEST_NAME:
            files = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
            return [file for file in files if file.is_file() and not _is_hidden(file)]
    except (OSError, ValueError, RuntimeError):  # a name too long or with a NUL: most likely a text, not a path
        pass
    return []


def _looks_like_path(item: str, endings: Sequence[str]) -> bool:
    """True if a string is written like the path of a file rather than like a text."""
    name = item.replace("\\", "/").rpartition("/")[2]
    if not item.isprintable() or len(name) > LONGEST_NAME:
        return False
    if without_compression(name).endswith(tuple(endings)):
        return True
    return " " not in item and "@" not in item and SUFFIX.fullmatch(Path(name).suffix) is not None


def _exists(item: str) -> bool:
    try:
        return Path(item).exists()
    except (OSError, ValueError):
        return False


def _is_hidden(file: Path) -> bool:
    return file.name.startswith((".", "~$"))


def _in_folder(folder: Path, endings: Sequence[str]) -> list[Path]:
    """The data files directly in a folder, if they are of one format and not the splits of a data set."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not _is_hidden(file))
    names = {file.name for file in files} | {file.name for file in folder.iterdir() if file.is_dir()}
    if names & {"dataset_info.json", "dataset_dict.json"}:
        raise DatasetError(f"expected files of rows, found the directory {folder.name} of a saved dataset").hint(
            f"Name one split of it, such as '{folder.name}/train'; a split has a dataset_info.json and a state.json."
        )
    found = [file for file in files if _plain_ending(file) in endings]
    formats = sorted({_plain_ending(file) for file in found})
    splits = {frozenset(re.split(r"[\W_\d]+", file.name.lower())) & SPLIT_WORDS for file in found}
    if len(formats) == 1 and len(splits) == 1:
        return found
    problem = "files of several splits" if formats else f"no {', '.join(endings)} file"
    if len(formats) > 1:
        problem = f"files of several formats ({', '.join(formats)})"
    raise DatasetError(f"expected a file, found the directory {folder.name} with {problem} in it").hint(
        f"Name a file in it ({', '.join(endings)}), a list of files, or a pattern: '{folder.name}/*.jsonl'."
    )


def _plain_ending(file: Path) -> str:
    return Path(without_compression(file.name)).suffix
