"""Examples out of whatever people have. Knows rows and the schema; the formats are known one door further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from extractft.data.cells import is_missing
from extractft.data.example import Example
from extractft.data.layout import Layout
from extractft.data.parsing import OutputParser
from extractft.data.row import Row, RowIssue, RowProblem
from extractft.data.source import open_source
from extractft.errors import DatasetError
from extractft.schema import Schema

__all__ = ["load_examples", "valid_text"]

T = TypeVar("T")

HINTS = {
    "missing_column": 'Map the columns, our name -> yours: columns={"text": "complaint", "output": "label"}.',
    "unknown_key": 'Correct or remove the keys, or say extra="ignore" in the config of the model.',
    "encoding": "Save the file as UTF-8.",
}


def load_examples(data: Any, schema: Schema[T], *, columns: Mapping[str, str] | None = None) -> list[Example[T]]:
    """Read examples, all of them or none.

    Args:
        data: One of

            - rows: `Example`s, `(text, output)` pairs or mappings, in any iterable;
            - a path to `.jsonl`, `.ndjson`, `.json` (a list, or `{"data": [...]}`), `.csv`, `.tsv` (all also `.gz`)
              or `.parquet`;
            - a `datasets.Dataset`, a pandas or polars `DataFrame`, a pyarrow `Table`.

            An output is an instance, a JSON-able value or a JSON string. A mapping has the keys `text` and `output`,
            or `text` and the fields of the schema, or `instruction`, `input` and `output` (the text is the input, or
            the instruction where the input is empty), or `messages` (the last assistant turn and the user turn before
            it). In CSV, a blank cell is an absent value, and nested values are written as JSON.
        schema: What the outputs have to be.
        columns: Our name (`text`, `output`, a field) to the name it has in `data`: `{"text": "complaint"}`.

    Returns:
        The examples in their order, texts exactly as they were given.

    Raises:
        DatasetError: No rows, or bad ones; `.issues` lists every bad row. A key that the schema does not know makes a
            row bad (its label would vanish), unless the model sets `extra` to `ignore` or `allow` itself.
        MissingDependencyError: A Parquet file without pyarrow.
    """
    source = open_source(data)
    layout = Layout(schema, source, columns)
    parser = OutputParser(schema, padded=source.kind == "table")
    examples: list[Example[T]] = []
    issues: list[RowIssue] = []
    for row in source.rows:
        if isinstance(row, RowIssue):
            issues.append(row)
            continue
        try:
            examples.append(_example(row, layout, parser))
        except RowProblem as problem:
            issues.extend(problem.issues(row.number))
    if issues:
        raise _refusal(source.name, issues, len(examples))
    if not examples:
        raise DatasetError(f"{source.name}: expected at least one example, found none")
    return examples


def _example(row: Row, layout: Layout, parser: OutputParser[T]) -> Example[T]:
    text, raw = layout.split(row.value)
    problems: list[tuple[str, str, str]] = []
    try:
        text = valid_text(text)
    except RowProblem as problem:
        problems.extend(problem.problems)
    try:
        output = parser.parse(raw)
    except RowProblem as problem:
        problems.extend(problem.problems)
    if problems:
        raise RowProblem(problems)
    return row.value if isinstance(row.value, Example) else Example(text, output)


def valid_text(text: Any) -> str:
    """`text` if it is a text that a record can be extracted from.

    Raises:
        RowProblem: Missing, blank, no string, or not encodable.
    """
    if is_missing(text):
        raise RowProblem.one("missing_text", "the text is missing")
    if not isinstance(text, str):
        raise RowProblem.one("invalid_text", f"expected the text as a string, found {type(text).__name__}")
    if not text.strip():
        raise RowProblem.one("empty_text", "the text is empty")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        problem = RowProblem.one("invalid_text", "expected valid Unicode, found half of a surrogate pair")
        raise problem from error
    return text


def _refusal(name: str, issues: Sequence[RowIssue], good: int) -> DatasetError:
    bad = len({issue.row for issue in issues})
    error = DatasetError(f"{name}: {bad} of {bad + good} rows cannot be used", issues=issues)
    for kind, hint in HINTS.items():
        if any(issue.kind == kind for issue in issues):
            error.hint(hint)
    return error
