"""Excel files: the cells of every visible sheet, row by row. Knows workbooks through openpyxl."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractft.data.excel_reader import cell_text
from extractft.documents.archive_checks import require_small
from extractft.documents.document import Document, DocumentBuilder
from extractft.errors import DocumentError

__all__ = ["read_xlsx"]

MOST_CELLS = 2_000_000
"""Cells of a workbook; more are a table, and each row of it a text of its own."""


def read_xlsx(path: Path, content: bytes, encoding: str | None = None) -> Document:
    """A workbook as a document: cells with tabs between them, rows as lines, sheets with a blank line between them.

    Raises:
        DocumentError: It is none, or has too many cells.
    """
    import openpyxl

    require_small(path, content)
    try:
        results = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        document = _document(path, results, formulas)
    except DocumentError:
        raise
    except Exception as error:  # openpyxl lets errors of zip and XML through, at any cell
        raise DocumentError(f"{path.name}: expected an Excel workbook, found something else").hint(
            "Save it as .xlsx without a password."
        ) from error
    results.close()
    formulas.close()
    return document


def _document(path: Path, results: Any, formulas: Any) -> Document:
    builder = DocumentBuilder(path.name)
    count = unknown = 0
    for sheet in results.worksheets:
        if sheet.sheet_state != "visible":
            builder.notes.append("hidden sheets are left out")
            continue
        builder.space("\n")
        for cells in _rows(sheet, formulas[sheet.title]):
            before = "\n"
            for cell, formula in cells:
                count += 1
                unknown += cell.value is None and getattr(formula, "data_type", "") == "f"
                if cell.value is not None:
                    builder.add(cell_text(cell), "cell", _label(sheet.title, cell), before=before)
                    before = "\t"
            if count > MOST_CELLS:
                raise DocumentError(f"{path.name}: expected a document, found a table of millions of cells").hint(
                    "Extract from its rows: give the file without --documents."
                )
    if unknown:
        builder.notes.append(f"{unknown} formulas have no stored result: open and save the file in Excel")
    return builder.build()


def _rows(sheet: Any, formulas: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Cells with their formulas, row by row, whatever size the file says that it has."""
    for one in (sheet, formulas):
        one.reset_dimensions()
    for shown, written in zip(sheet.iter_rows(), formulas.iter_rows(), strict=True):
        yield list(zip(shown, written, strict=True))


def _label(title: str, cell: Any) -> str:
    return f"sheet {title}, cell {cell.coordinate}"
