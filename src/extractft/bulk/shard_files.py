"""Files of a shard: its records as Parquet, JSONL or batch responses, its failed rows and those for review as JSONL.

Knows results and rows; knows no extractor and no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

from extractft.bulk.batch_requests import batch_error, batch_response
from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.bulk.row_result import RowResult, spans_of
from extractft.bulk.run_folder import FAILED, REVIEW, SHARDS
from extractft.bulk.table_layout import TableLayout
from extractft.data.record_columns import json_text
from extractft.schema import Schema

__all__ = ["PlacedRow", "ShardContent", "ShardFiles"]


class PlacedRow(NamedTuple):
    """A row of a shard with its result.

    Attributes:
        place: Its place in the shard.
        row: The row.
        result: Its result.
    """

    place: int
    row: InputRow
    result: RowResult


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
    records: list[PlacedRow] = field(default_factory=list)
    failed: list[PlacedRow] = field(default_factory=list)
    review: list[PlacedRow] = field(default_factory=list)

    @classmethod
    def of(cls, number: int, rows: Iterable[PlacedRow], least: float | None) -> ShardContent:
        """Sort the rows of a shard by what became of them."""
        content = cls(number)
        for placed in rows:
            result = placed.result
            kind = content.failed if result.error else content.review if result.is_below(least) else content.records
            kind.append(placed)
        return content

    def in_order(self) -> list[PlacedRow]:
        """All rows, in the order of the input."""
        return sorted([*self.records, *self.failed, *self.review], key=lambda found: found.place)

    def places(self) -> dict[str, list[int]]:
        """The places of rows that are not among the records."""
        return {FAILED: [found.place for found in self.failed], REVIEW: [found.place for found in self.review]}


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

    def _write(self, path: Path, kind: str, content: ShardContent) -> None:
        if kind == SHARDS and self.config.format == "parquet":
            self.layout.write_parquet(path, self.layout.table(content.records))
            return
        with path.open("wb") as file:
            file.writelines(self.lines(kind, content))

    def lines(self, kind: str, content: ShardContent) -> Iterator[bytes]:
        """The lines of a file of JSONL."""
        rows = {SHARDS: content.records, FAILED: content.failed, REVIEW: content.review}
        line = {SHARDS: self._record_line, FAILED: self._failed_line, REVIEW: self._review_line}[kind]
        dump = _strict_json if kind == SHARDS else _json_of_any
        return (dump(line(row, result)) + b"\n" for _, row, result in rows[kind])

    def problem_of(self, row: InputRow, result: RowResult) -> str:
        """The reason why a record has no place in the file, empty if it has."""
        if self.config.format == "parquet":
            problem = self.layout.problem_of(row, result)
            return f"{problem}; format='jsonl' can" if problem else ""
        try:
            _strict_json(self._record_line(row, result))
        except ValueError as error:
            return f"it is no JSON ({type(error).__name__})"
        return ""

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
        kept = {"input": dict(row.kept)} if self.config.keep_columns else {}
        return {**_place(row), **kept}


def _strict_json(values: Any) -> bytes:
    """JSON that every reader takes: numbers that it does not have are texts.

    Raises:
        ValueError: A text has half a character.
    """
    return to_json(values, inf_nan_mode="strings")


def _json_of_any(values: Any) -> bytes:
    """The same of anything: half a character is written as one that stands for what is unknown."""
    try:
        return _strict_json(values)
    except ValueError:
        return _strict_json(_whole_characters(values))


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
    if isinstance(value, Mapping):
        return {_whole_characters(key): _whole_characters(inner) for key, inner in value.items()}
    return [_whole_characters(inner) for inner in value] if isinstance(value, list | tuple) else value


def _place(row: InputRow) -> dict[str, Any]:
    """Name and place of a row."""
    return {"id": row.id, **({"file": row.file} if row.file else {}), "row": row.row}


def _confidence(result: RowResult) -> dict[str, Any] | None:
    if result.confidence is None:
        return None
    return {"record": result.confidence, "fields": result.fields, "calibrated": result.calibrated}
