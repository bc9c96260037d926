"""Files of a shard: its records as Parquet, JSONL or batch responses, its failed rows and those for review as JSONL.

Knows results and rows; knows no extractor and no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_json, to_jsonable_python

from extractft.bulk.batch_requests import batch_error, batch_response
from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.bulk.record_columns import json_text
from extractft.bulk.row_result import RowResult, spans_of
from extractft.bulk.run_folder import FAILED, REVIEW, SHARDS
from extractft.bulk.table_layout import TableLayout
from extractft.schema import Schema

__all__ = ["UNWRITABLE", "ShardContent", "ShardFiles"]

UNWRITABLE = (OverflowError, TypeError, ValueError, AttributeError)
"""Errors of Arrow for values that a column cannot hold."""


@dataclass
class ShardContent:
    """The rows of a shard with their results, by what became of them.

    Attributes:
        number: The number of the shard.
        records: Rows with a record.
        failed: Rows without one.
        review: Rows with a record that a person should look over.
    """

    number: int
    records: list[tuple[InputRow, RowResult]] = field(default_factory=list)
    failed: list[tuple[InputRow, RowResult]] = field(default_factory=list)
    review: list[tuple[InputRow, RowResult]] = field(default_factory=list)

    @classmethod
    def of(cls, number: int, rows: Iterable[tuple[InputRow, RowResult]], least: float | None) -> ShardContent:
        """Sort the rows of a shard by what became of them."""
        content = cls(number)
        for row, result in rows:
            place = content.failed if result.error else content.review if result.is_below(least) else content.records
            place.append((row, result))
        return content


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """Writes the files of shards.

    Attributes:
        config: Settings of the run.
        schema: Schema of the records.
        layout: Columns of the table.
        model: Name of the extractor in batch responses.
    """

    config: BulkConfig
    schema: Schema[Any]
    layout: TableLayout
    model: str

    def names(self, content: ShardContent, *, table: bool = False) -> dict[str, str]:
        """The places of the files of a shard, by their kind; without that of the records if these go to a table."""
        part = f"part-{content.number:05d}"
        ending = "parquet" if self.config.format == "parquet" else "jsonl"
        names = {} if table else {SHARDS: f"{SHARDS}/{part}.{ending}"}
        names |= {FAILED: f"{FAILED}/{part}.jsonl"} if content.failed else {}
        return names | ({REVIEW: f"{REVIEW}/{part}.jsonl"} if content.review else {})

    def writers(self, content: ShardContent, kinds: Iterable[str]) -> dict[str, Callable[[Path], None]]:
        """Functions that write the files, by their kind."""
        return {kind: lambda path, kind=kind: self._write(path, kind, content) for kind in kinds}  # type: ignore[misc]

    def without_unwritable(self, rows: Iterable[tuple[InputRow, RowResult]]) -> list[tuple[InputRow, RowResult]]:
        """Rows whose results the table can hold; a record that it cannot is an error."""
        found = []
        for row, result in rows:
            problem = "" if result.error else self.layout.problem_of(row, result)
            message = f"The record cannot be written: {problem}; format='jsonl' can."
            found.append((row, RowResult(error="OutputInvalidError", message=message) if problem else result))
        return found

    def _write(self, path: Path, kind: str, content: ShardContent) -> None:
        if kind == SHARDS and self.config.format == "parquet":
            self.layout.write_parquet(path, content.records)
            return
        rows: Mapping[str, Sequence[tuple[InputRow, RowResult]]] = {
            SHARDS: content.records,
            FAILED: content.failed,
            REVIEW: content.review,
        }
        line = {SHARDS: self._record_line, FAILED: self._failed_line, REVIEW: self._review_line}[kind]
        with path.open("wb") as file:
            file.writelines(to_json(line(row, result)) + b"\n" for row, result in rows[kind])

    def _record_line(self, row: InputRow, result: RowResult) -> dict[str, Any]:
        if self.config.format == "batch":
            return batch_response(row.id, json_text(result.record), model=self.model, tokens=result.tokens)
        line = {**self._head(row), "output": result.record}
        if result.truncated:
            line["truncated"] = True
        if "confidence" in self.config.explain:
            line["confidence"] = _confidence(result)
        if "spans" in self.config.explain:
            line["spans"] = result.spans
        return line

    def _failed_line(self, row: InputRow, result: RowResult) -> dict[str, Any]:
        if self.config.format == "batch":
            return batch_error(row.id, result.error, result.message)
        shown = {"text": row.text} if self.config.show_texts and row.text is not None else {}
        return {**_place(row), "error": result.error, "message": result.message, **shown}

    def _review_line(self, row: InputRow, result: RowResult) -> dict[str, Any]:
        text = row.text or ""
        return {
            **self._head(row),
            "output": result.record,
            "confidence": _confidence(result),
            "spans": spans_of(result, self.schema, text),
            "text": text,
        }

    def _head(self, row: InputRow) -> dict[str, Any]:
        kept = {"input": to_jsonable_python(row.kept)} if self.config.keep_columns else {}
        return {**_place(row), **kept}


def _place(row: InputRow) -> dict[str, Any]:
    """Name and place of a row."""
    return {"id": row.id, **({"file": row.file} if row.file else {}), "row": row.row}


def _confidence(result: RowResult) -> dict[str, Any] | None:
    if result.confidence is None:
        return None
    return {"record": result.confidence, "fields": result.fields, "calibrated": result.calibrated}
