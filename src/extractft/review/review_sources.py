"""Records for a review out of files: what `run` and `extract` put aside, or rows with a text and perhaps a record.

Knows formats of rows; knows no database and no schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from extractft.data.example_loader import validate_text
from extractft.data.raw_row import InvalidRow, RawRow, RowIssue
from extractft.data.row_source import RowSource, open_row_sources
from extractft.errors import DatasetError
from extractft.review.review_items import NewItem

__all__ = ["read_items"]

RUN_MANIFEST = "run.json"
REVIEW_FOLDER = "review"
LOW_CONFIDENCE = "low confidence"


def read_items(
    inputs: Sequence[str | Path],
    *,
    extractor: str,
    reason: str = "",
    reviewers: int = 1,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Iterator[NewItem]:
    """The records that files hold.

    A row has a `text`, and may have an `output` (the record), an `id`, and the `confidence` and `spans` that the
    commands of extractft write.

    Args:
        inputs: Directories of `extractft run`, of which those put aside are read; files, folders or patterns of rows.
        extractor: Name of the extractor that the records are of.
        reason: The reason why they are looked over; of rows with a confidence, that it is low.
        reviewers: Number of people who are to look at each.
        columns: Our names (`text`, `output`, `id`) to those of the columns.
        encoding: How text files are written; UTF-8 if not given.

    Raises:
        DatasetError: There are no rows, or bad ones; all of them are in `.issues`.
    """
    names = {"text": "text", "output": "output", "id": "id"} | dict(columns or {})
    issues: list[RowIssue] = []
    count = 0
    for source in _sources(inputs, encoding):
        for row in source.rows:
            count += 1
            try:
                yield _item(row, source, names, (extractor, reason, reviewers))
            except InvalidRow as problem:
                issues += problem.issues(row.number) if isinstance(row, RawRow) else [row]
    _require_good(count, issues)


def _require_good(count: int, issues: Sequence[RowIssue]) -> None:
    if not count:
        raise DatasetError("Expected rows to be looked over, found none.").hint(
            "`extractft run --min-confidence` and `extractft extract --review` put some aside."
        )
    if issues:
        bad = len({issue.row for issue in issues})
        raise DatasetError(f"{bad} of {count} rows cannot be looked over", issues=issues).hint(
            "A row needs a `text`, and may have an `output`. Nothing was added."
        )


def _sources(inputs: Sequence[str | Path], encoding: str | None) -> Iterator[RowSource]:
    """The files, with those of runs found."""
    for value in inputs:
        place = Path(value).expanduser()
        found = [value]
        if (place / RUN_MANIFEST).is_file():
            found = [*sorted((place / REVIEW_FOLDER).glob("part-*.jsonl"))]
        for path in found:
            yield from open_row_sources(path, encoding)


def _item(row: RawRow | RowIssue, source: RowSource, names: Mapping[str, str], told: tuple[str, str, int]) -> NewItem:
    if isinstance(row, RowIssue):
        raise InvalidRow([])
    value, (extractor, reason, reviewers) = row.value, told
    if not isinstance(value, Mapping):
        raise InvalidRow.one("invalid_row", f"expected an object, found a {type(value).__name__}")
    if names["text"] not in value:
        raise InvalidRow.one("missing_column", f"expected the column {names['text']!r} with the text, found none")
    confidence, fields, calibrated = _confidence(value.get("confidence"))
    name = "" if _is_numbered(value) else value.get(names["id"])
    spans = value.get("spans")
    return NewItem(
        validate_text(value[names["text"]]),
        _record(value.get(names["output"]), source.kind),
        "" if name is None else str(name),
        extractor,
        confidence,
        fields,
        calibrated,
        dict(spans) if isinstance(spans, Mapping) else {},
        truncated=bool(value.get("truncated")),
        reason=reason or _reason(value, known=bool(fields)),
        source=source.name,
        reviewers=reviewers,
    )


def _reason(row: Mapping[Any, Any], *, known: bool) -> str:
    """The reason for which a command put a row aside: it failed, or was not certain enough."""
    if isinstance(row.get("error"), str):
        return f"no record ({row['error']})"
    return LOW_CONFIDENCE if known else ""


def _is_numbered(value: Mapping[Any, Any]) -> bool:
    """True if `run` named a row by its number: another file has a row of that number too."""
    return "row" in value and str(value.get("id", "")).rpartition(":")[2] == str(value["row"])


def _record(value: Any, kind: str) -> Any:
    """The record of a row; one of a table is written as JSON."""
    if not isinstance(value, str) or kind == "objects":
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError:
        raise InvalidRow.one("invalid_json", "expected the record as JSON, found something else", "output") from None


def _confidence(value: Any) -> tuple[float | None, dict[str, float], bool]:
    """The confidence of the record and of its fields, and whether it is calibrated, as `run` and `extract` write it.

    What is no number from 0 to 1 is no confidence: a column of another program may have that name.
    """
    if not isinstance(value, Mapping):
        return _probability(value), {}, False
    record, fields = value.get("record"), value.get("fields")
    known = {str(path): _probability(number) for path, number in fields.items()} if isinstance(fields, Mapping) else {}
    return (
        _probability(record),
        {path: number for path, number in known.items() if number is not None},
        value.get("calibrated") is True,
    )


def _probability(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else None
