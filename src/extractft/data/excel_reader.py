"""Raw rows out of Excel workbooks, each cell as the text that it shows. Knows no schema; needs openpyxl."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from extractft.data.column_names import describe_columns, duplicate_names
from extractft.data.csv_reader import table_row
from extractft.data.raw_row import RawRow, RawTable, RowIssue
from extractft.errors import DatasetError, MissingDependencyError

__all__ = ["EXCEL_ENDINGS", "cell_text", "read_excel"]

EXCEL_ENDINGS = (".xlsx", ".xlsm")
LARGEST_SHEET = 2**31
"""Most bytes that the parts of a workbook may unpack to: 2 GiB."""
LARGEST_WHOLE = 10**15
"""Excel keeps 15 significant digits."""
ZEROS = re.compile(r"0+")
RETURN = "_x000D_"
"""A carriage return as Excel writes it, and openpyxl leaves it."""
MERGED = b"<mergeCell "
CHUNK = 2**20


class _SheetRow(NamedTuple):
    number: int
    cells: list[Any]


def read_excel(path: Path) -> RawTable:
    """The header, and the rows below it as mappings of strings; a row's number is that of the sheet.

    A number is written with the 15 digits that Excel keeps and the leading zeros of its format, a date as `2024-03-01`,
    an empty cell as a blank. Empty rows and columns without a name are skipped.

    Raises:
        DatasetError: No workbook, several sheets with something in them, merged cells, no header, or a column named
            twice.
        MissingDependencyError: openpyxl is not installed.
    """
    _check_archive(path)
    rows = _sheet_rows(path)
    top = next(rows, None)
    if top is None:
        raise DatasetError(f"{path.name}: expected a header with the column names, found an empty workbook")
    header = tuple(cell_text(cell).strip() for cell in top.cells)
    columns = [name for name in header if name]
    twice = duplicate_names(columns)
    if twice:
        raise DatasetError(f"{path.name}: expected each column once, found several named {describe_columns(twice)}")
    return RawTable(tuple(columns), _rows_below(rows, header))


def _rows_below(rows: Iterator[_SheetRow], header: tuple[str, ...]) -> Iterator[RawRow | RowIssue]:
    for number, cells in rows:
        if any(getattr(cell, "data_type", "") == "f" for cell in cells):
            yield RowIssue(number, "invalid_row", "a formula without a stored result: open and save the file in Excel")
            continue
        named = [cell for cell, name in zip(cells, header, strict=False) if name]
        if any(getattr(cell, "data_type", "") == "e" for cell in named):
            yield RowIssue(number, "invalid_row", "a cell shows an error of Excel, such as #N/A: correct or empty it")
            continue
        texts = [cell_text(cell) for cell in cells[: len(header)]]
        yield table_row(number, header, texts + [""] * (len(header) - len(texts)))


def _sheet_rows(path: Path) -> Iterator[_SheetRow]:
    """The rows of the one sheet that has any; cells of formulas without a result stay formulas."""
    try:
        import openpyxl
    except ImportError as error:
        raise MissingDependencyError("reading Excel files needs openpyxl").hint(
            "pip install openpyxl, or 'extractft[excel]'; or save the file as CSV UTF-8."
        ) from error
    try:
        results = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True)
    except Exception as error:  # openpyxl lets errors of zip and XML through
        raise DatasetError(f"{path.name}: expected an Excel workbook, found something else").hint(
            "Other ways to read it: pandas.read_excel(path, dtype=str), then pass the DataFrame."
        ) from error
    for sheet in (*results.worksheets, *formulas.worksheets):
        sheet.reset_dimensions()  # the size that some programs write is wrong, and rows beyond it would be lost
    visible = [sheet for sheet in results.worksheets if sheet.sheet_state == "visible"]
    filled = [sheet.title for sheet in visible if any(_filled(row) for row in sheet.iter_rows())]
    if len(filled) > 1:
        raise DatasetError(f"{path.name}: expected one sheet with rows, found {len(filled)}").hint(
            "Keep the one with the examples, or pass pandas.read_excel(path, sheet_name=..., dtype=str)."
        )
    for title in filled:
        for shown, written in zip(results[title].iter_rows(), formulas[title].iter_rows(), strict=True):
            cells = [
                formula if cell.value is None and getattr(formula, "data_type", "") == "f" else cell
                for cell, formula in zip(shown, written, strict=True)
            ]
            if _filled(cells):
                number = next(cell.row for cell in cells if hasattr(cell, "row"))
                yield _SheetRow(number, cells)
    results.close()
    formulas.close()


def _filled(cells: Any) -> bool:
    return any(cell.value is not None and str(cell.value).strip() for cell in cells)


def _check_archive(path: Path) -> None:
    """Refuse a file that is no archive, unpacks to gigabytes, or has merged cells, of which all but one are empty."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > LARGEST_SHEET:
                raise DatasetError(f"{path.name}: expected at most {LARGEST_SHEET >> 30} GiB of unpacked sheets")
            names = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
            merged = any(_has_merged_cells(archive, name) for name in names)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DatasetError(f"{path.name}: expected an Excel workbook, found something else").hint(
            "Save it as .xlsx without a password, or as CSV UTF-8."
        ) from error
    if merged:
        raise DatasetError(f"{path.name}: expected a plain table, found merged cells").hint(
            "Unmerge them in Excel and fill each cell: of merged cells only the first has a value."
        )


def _has_merged_cells(archive: zipfile.ZipFile, name: str) -> bool:
    tail = b""
    with archive.open(name) as part:
        while chunk := part.read(CHUNK):
            if MERGED in tail + chunk:
                return True
            tail = chunk[-len(MERGED) :]
    return False


def cell_text(cell: Any) -> str:
    """A cell as text, nearly as Excel shows it."""
    value = cell.value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number_text(value, str(cell.number_format))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(to_jsonable_python(value))
    return "" if value is None else str(value).replace(RETURN, "\r")


def _number_text(value: float, number_format: str) -> str:
    if float(value).is_integer() and abs(value) < LARGEST_WHOLE:
        whole = str(int(value))
        return whole.zfill(len(number_format)) if ZEROS.fullmatch(number_format) else whole
    return format(value, ".15g")
