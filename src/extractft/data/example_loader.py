"""Load examples from files, tables and iterables. Knows rows and the schema; `row_source` knows the formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from extractft.data.example import Example
from extractft.data.instruction_rows import InstructionRows
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow, RawRow, RowFault, RowIssue, with_value_shown
from extractft.data.row_format import RowFormat
from extractft.data.row_source import IN_MEMORY, RowSource, open_row_sources
from extractft.data.table_values import is_missing
from extractft.data.text_encoding import SAY_THE_ENCODING, SUSPICIOUS_ISSUES
from extractft.errors import DatasetError, SchemaError
from extractft.schema import Schema
from extractft.text import is_blank

__all__ = ["DataFiles", "LoadedExamples", "load_examples", "load_numbered_examples", "parse_examples", "validate_text"]

T = TypeVar("T")

HINTS = {
    "missing_column": 'Map the columns, our name -> yours: columns={"text": "complaint", "output": "label"}.',
    "ambiguous_text": 'Say which it is: columns={"text": "input"} or columns={"text": "text"}.',
    "unknown_key": 'Correct or remove the keys, or say extra="ignore" in the config of the model.',
    "encoding": f"{SAY_THE_ENCODING}.",
}
MAX_KEPT_VALUES = 1000
NUMBERS_HINT = "Numbers where text is expected: read the file with dtype=str, or pass its path."


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Files of examples and how to read them, for whatever takes data and has no arguments for that.

    Attributes:
        paths: As `load_examples` takes them.
        encoding: How text files are written; UTF-8 if not given.
        show_values: Let messages quote what was found in bad rows.
    """

    paths: Sequence[str | Path]
    encoding: str | None = None
    show_values: bool = False


@dataclass(repr=False, slots=True)
class LoadedExamples(Generic[T]):
    """Examples with their row numbers.

    Attributes:
        examples: In their order.
        numbers: Of each, its row number: that of its own file (see `RowIssue.row`), or counted through from 1 if the
            data is in several files.
        ids: Of each, the `id` beside its text and output, `None` if it has none; empty if nobody looked.
    """

    examples: list[Example[T]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"LoadedExamples({len(self.examples)} examples)"

    def id_at(self, place: int) -> str | None:
        """The id of an example, if it has one."""
        return self.ids[place] if place < len(self.ids) else None


class ReadingSettings(TypedDict, total=False):
    """Keyword arguments of `load_examples`, for type checkers."""

    columns: Mapping[str, str] | None
    encoding: str | None
    show_values: bool


@overload
def load_examples(data: Any, schema: Schema[T] | type[T], **settings: Unpack[ReadingSettings]) -> list[Example[T]]: ...


@overload
def load_examples(data: Any, schema: Any, **settings: Unpack[ReadingSettings]) -> list[Example[Any]]: ...


def load_examples(
    data: Any,
    schema: Any,
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
    show_values: bool = False,
) -> list[Example[Any]]:
    """Read examples, all of them or none.

    Args:
        data: One of

            - rows: `Example`s, `(text, output)` pairs or mappings, in any iterable;
            - a path to `.jsonl`, `.ndjson`, `.json` (a list, or `{"data": [...]}`), `.csv`, `.tsv` (all also `.gz`),
              `.parquet` or `.xlsx`; a folder of such files or one that `Dataset.save_to_disk` wrote, a pattern
              (`"data/*.jsonl"`), or a list of these;
            - a `datasets.Dataset`, a pandas or polars `DataFrame`, a pyarrow `Table`;
            - `DataFiles`: paths with an encoding of their own.

            An output is an instance, a JSON-able value or a JSON string. A mapping has the keys `text` and `output`,
            or `text` and the fields of the schema; or `instruction`, `input` and `output` (the text is the input, or
            the instruction where the input is empty and the instruction is not that of other rows); or `messages` or
            `conversations` with one user turn and one assistant turn; or `prompt` and `completion`. In CSV and Excel
            files, a blank cell is an absent value, and nested values are written as JSON.
        schema: What the outputs have to be: a `Schema`, or a class as `Schema.of` takes it.
        columns: Our name (`text`, `output`, a field) to the name it has in `data`: `{"text": "complaint"}`.
        encoding: How text files are written, such as `"gb18030"`; UTF-8 if not given. A byte order mark overrules it.
        show_values: Let messages quote what was found in bad rows. It is in `.issues[i].value` in any case.

    Returns:
        The examples in their order, texts exactly as they were given.

    Raises:
        SchemaError: `schema` is neither a schema nor a type that makes one.
        DatasetError: No rows, or bad ones; `.issues` lists every bad row. A key that the schema does not know makes a
            row bad (its label would vanish), unless the model sets `extra` to `ignore` or `allow` itself.
        MissingDependencyError: openpyxl, which reads Excel files, is not installed.
    """
    loaded = load_numbered_examples(data, schema, columns=columns, encoding=encoding, show_values=show_values)
    return loaded.examples


@overload
def load_numbered_examples(
    data: Any, schema: Schema[T] | type[T], **settings: Unpack[ReadingSettings]
) -> LoadedExamples[T]: ...


@overload
def load_numbered_examples(data: Any, schema: Any, **settings: Unpack[ReadingSettings]) -> LoadedExamples[Any]: ...


def load_numbered_examples(
    data: Any,
    schema: Any,
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
    show_values: bool = False,
) -> LoadedExamples[Any]:
    """Read examples like `load_examples`, with the number of each row in the user's data.

    The result is data in its own right: `fit`, `evaluate` and `load_examples` take it, and keep the numbers.
    """
    if isinstance(data, DataFiles):
        encoding, show_values = encoding or data.encoding, show_values or data.show_values
        data = list(data.paths)
    collector: _ExampleCollector[Any] = _ExampleCollector(Schema.of(schema), columns, show_values=show_values)
    if isinstance(data, LoadedExamples):
        numbered = zip(data.numbers, data.examples, strict=True)
        sources = iter([RowSource(RawRow(number, example) for number, example in numbered)])
    else:
        sources = open_row_sources(data, encoding)
    for source in sources:
        collector.read(source)
    loaded = collector.result()
    if isinstance(data, LoadedExamples):
        loaded.ids = list(data.ids)
    return loaded


def parse_examples(examples: Iterable[Example[Any]], schema: Schema[T]) -> list[Example[T]]:
    """Examples whose outputs are instances; dicts, JSON strings and instances of another class are parsed.

    Raises:
        DatasetError: An output does not fit the schema; all such outputs are in `.issues`.
    """
    examples = list(examples)
    if all(_is_writable(example.output, schema) for example in examples):
        return examples
    collector = _ExampleCollector(schema, None, skip_text_check=True)
    collector.read(RowSource(RawRow(number, example) for number, example in enumerate(examples, 1)))
    return collector.result().examples


def _is_writable(output: Any, schema: Schema[Any]) -> bool:
    try:
        schema.canonical_value(output)
    except SchemaError:
        return False
    return True


class _ExampleCollector(Generic[T]):
    """Collects examples and issues from one source after another."""

    def __init__(
        self,
        schema: Schema[T],
        columns: Mapping[str, str] | None,
        *,
        show_values: bool = False,
        skip_text_check: bool = False,
    ) -> None:
        self.schema, self.columns = schema, columns
        self.show_values, self.skip_text_check = show_values, skip_text_check
        self.sources: list[RowSource] = []
        self.loaded: LoadedExamples[T] = LoadedExamples()
        self.issues: list[RowIssue] = []
        self.instructions = InstructionRows()

    def read(self, source: RowSource) -> None:
        """Take the rows of a source."""
        self.sources.append(source)
        try:
            row_format = RowFormat(self.schema, source, self.columns, self.instructions)
        except DatasetError as error:
            if source.doubt:
                error.hint(source.doubt)
            raise
        parser = OutputParser(self.schema, padded=source.kind == "table", show_values=self.show_values)
        for row in source.rows:
            if isinstance(row, RowIssue):
                self._add_issues([row], source)
                continue
            try:
                self.loaded.examples.append(self._example(row, row_format, parser))
                self.loaded.numbers.append(row.number)
                self.loaded.ids.append(row_format.id_of(row))
            except InvalidRow as problem:
                self._add_issues(problem.issues(row.number), source)

    def _add_issues(self, issues: Sequence[RowIssue], source: RowSource) -> None:
        """Keep issues; beyond the first thousand without the values that were found, which would fill the memory."""
        for issue in issues:
            issue = replace(issue, file=source.name)
            if len(self.issues) >= MAX_KEPT_VALUES:
                issue = replace(issue, value=None)
            self.issues.append(with_value_shown(issue) if self.show_values else issue)

    def _example(self, row: RawRow, row_format: RowFormat, parser: OutputParser[T]) -> Example[T]:
        faults: list[RowFault] = []
        try:
            text, raw_output = row_format.split(row)
        except RecursionError as error:
            raise InvalidRow.one("invalid_row", "nested too deeply to read") from error
        try:
            text = text if self.skip_text_check else validate_text(text)
        except InvalidRow as problem:
            faults.extend(problem.faults)
        try:
            output = parser.parse(raw_output)
        except InvalidRow as problem:
            faults.extend(problem.faults)
        if faults:
            raise InvalidRow(faults)
        same = isinstance(row.value, Example) and row.value.output is output and row.value.text is text
        return row.value if same else Example(text, output)

    def result(self) -> LoadedExamples[T]:
        """The examples of all sources.

        Raises:
            DatasetError: Rows were bad, or there were none.
        """
        several = len(self.sources) > 1
        name = f"{len(self.sources)} files" if several else self.sources[0].name
        issues = [*self.issues, *self.instructions.issues()]
        if issues:
            bad = {(issue.file, issue.row) for issue in issues}
            total = len(self.loaded.examples) + len({(issue.file, issue.row) for issue in self.issues})
            named = issues if several else [replace(issue, file="") for issue in issues]
            raise self._refusal(name, named, len(bad), total)
        if not self.loaded.examples:
            raise DatasetError(f"{name}: expected at least one example, found none")
        if several:
            self.loaded.numbers = list(range(1, len(self.loaded.examples) + 1))
        return self.loaded

    def _refusal(self, name: str, issues: Sequence[RowIssue], bad: int, total: int) -> DatasetError:
        counted = " (the first row is 1)" if name == IN_MEMORY else ""
        error = DatasetError(f"{name}: {bad} of {total} rows cannot be used{counted}", issues=issues)
        kinds = {issue.kind for issue in issues}
        for kind, hint in HINTS.items():
            if kind in kinds:
                error.hint(hint)
        for doubt in {source.doubt for source in self.sources if source.doubt and kinds & SUSPICIOUS_ISSUES}:
            error.hint(doubt)
        tables = any(source.kind == "table" for source in self.sources)
        if tables and any(isinstance(issue.value, int | float) and "valid string" in issue.message for issue in issues):
            error.hint(NUMBERS_HINT)
        return error


def validate_text(text: Any) -> str:
    """Return `text` if a record can be extracted from it.

    Raises:
        InvalidRow: Missing, blank, no string, or not encodable.
    """
    if is_missing(text):
        raise InvalidRow.one("missing_text", "the text is missing")
    if not isinstance(text, str):
        raise InvalidRow.one("invalid_text", f"expected the text as a string, found {type(text).__name__}", "", text)
    if is_blank(text):
        raise InvalidRow.one("empty_text", "the text is empty: nothing but blanks or invisible characters", "", text)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = "expected valid Unicode, found half of a surrogate pair"
        raise InvalidRow.one("invalid_text", message, "", text) from error
    return text if type(text) is str else str(text)
