"""Data frames in and out: a column of texts becomes columns of records, confidences and errors.

pandas, polars and pyarrow are told apart by narwhals; a frame of one kind gives a frame of that kind. Knows the verbs
of an extractor; knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import pyarrow

from extractft.data.record_columns import RecordColumn, input_column_name, record_columns
from extractft.errors import ConfigError, ExtractionError
from extractft.extractor.explain import require_explanations
from extractft.extractor.extraction import Extraction
from extractft.schema import Schema

__all__ = ["frame_of_records"]

CONFIDENCE, ERROR, SPANS = "confidence", "error", "spans"


class FrameRow(NamedTuple):
    """One text's part of the new columns.

    Attributes:
        values: A value for each column of the record; `None` if there is no record.
        confidence: Probability that the whole record is right; `None` if it is not known.
        spans: By path, the place of each value, as (start, end) in characters; empty without a record.
        error: Kind and message of the error; `None` where there is a record.
    """

    values: Sequence[Any] | None = None
    confidence: float | None = None
    spans: Sequence[Mapping[str, Any]] = ()
    error: str | None = None


def frame_of_records(extractor: Any, frame: Any, text: str, explain: Sequence[str], batch_size: int | None) -> Any:
    """The frame with a column for each field of the records, and what is known of them.

    Args:
        extractor: The extractor.
        frame: A data frame of pandas, polars or pyarrow, or of another library that narwhals knows.
        text: The column of texts; a missing value is a text without a record.
        explain: Columns to add, of `"confidence"` and `"spans"`.
        batch_size: Texts decoded side by side.

    Raises:
        ConfigError: It is no data frame that is in memory, it has no such column, or the column holds no texts.
    """
    require_explanations(explain)
    given = _frame(frame)
    texts = _texts(given, text)
    outcomes = extractor.inspect_many(texts, batch_size=batch_size, explain=explain)
    columns = record_columns(extractor.schema)
    rows = [_row(outcome, extractor.schema, columns) for outcome in outcomes]
    added = nw.DataFrame.from_arrow(_table(columns, rows, explain), backend=given.implementation)
    return _joined(given, _with_nullable_types(added)).to_native()


def _frame(frame: Any) -> nw.DataFrame[Any]:
    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError:
        raise ConfigError(f"Expected a data frame in memory, found {type(frame).__name__}.").hint(
            "Frames of pandas, polars and pyarrow are taken; call .collect() on a lazy one. For a list of texts "
            "there is extract_many, for files `extractft run`."
        ) from None


def _texts(frame: nw.DataFrame[Any], name: str) -> list[str]:
    if name not in frame.columns:
        shown = ", ".join(map(str, frame.columns[:20]))
        raise ConfigError(f"Expected a column {name!r} with the texts, found the columns {shown}.").hint(
            "Name the column of texts in the argument `text`."
        )
    values = frame[name].to_list()
    wrong = next((value for value in values if not isinstance(value, str) and not _is_missing(value)), None)
    if wrong is not None:
        raise ConfigError(f"Expected texts in the column {name!r}, found a value of type {type(wrong).__name__}.")
    return ["" if _is_missing(value) else value for value in values]


def _is_missing(value: Any) -> bool:
    """True of None, and of the not-a-number that pandas puts in the place of a missing text."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def _row(outcome: Extraction[Any] | ExtractionError, schema: Schema[Any], columns: Sequence[RecordColumn]) -> FrameRow:
    if isinstance(outcome, ExtractionError):
        return FrameRow(error=f"{type(outcome).__name__}: {outcome}")
    try:
        record = schema.full_value(outcome.output)
        values = [pyarrow.scalar(column.value(record), column.kind.arrow) for column in columns]
    except Exception as error:  # validators and serialisers of a schema make anything of a record; integers are long
        return FrameRow(error=f"OutputInvalidError: The record does not fit into columns ({type(error).__name__}).")
    known = outcome.confidence
    return FrameRow(values, None if known is None else known.record, list(_places(outcome)))


def _places(outcome: Extraction[Any]) -> Iterator[Mapping[str, Any]]:
    for path, spans in outcome.spans.items():
        for span in spans[:1]:
            yield {"path": path, "start": span.start, "end": span.end}


def _table(columns: Sequence[RecordColumn], rows: Sequence[FrameRow], explain: Sequence[str]) -> pyarrow.Table:
    """The new columns as Arrow has them."""
    found: dict[str, pyarrow.Array] = {}
    for index, column in enumerate(columns):
        values = [None if row.values is None else row.values[index] for row in rows]
        found[column.name] = pyarrow.array(values, column.kind.arrow)
    if "confidence" in explain:
        found[_free(CONFIDENCE, found)] = pyarrow.array([row.confidence for row in rows], pyarrow.float64())
    if "spans" in explain:
        place = pyarrow.struct([("path", pyarrow.string()), ("start", pyarrow.int64()), ("end", pyarrow.int64())])
        found[_free(SPANS, found)] = pyarrow.array([list(row.spans) for row in rows], pyarrow.list_(place))
    found[_free(ERROR, found)] = pyarrow.array([row.error for row in rows], pyarrow.string())
    return pyarrow.table(found)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name of a column of ours, apart from a field of that name."""
    while name in taken:
        name = f"record_{name}"
    return name


def _with_nullable_types(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Whole numbers and truth values that may be absent, in types of pandas that have room for absence.

    pandas would make floats and objects of them.
    """
    if not frame.implementation.is_pandas():
        return frame
    native = frame.to_native()
    return nw.from_native(native.convert_dtypes(convert_string=False, convert_floating=False), eager_only=True)


def _joined(given: nw.DataFrame[Any], added: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Both side by side, rows by position; a column of the input makes room for a new one of its name."""
    names: dict[str, str] = {}
    for name in given.columns:
        if name in added.columns:
            names[name] = input_column_name(name, {*given.columns, *added.columns, *names.values()})
    if given.implementation.is_pandas():  # narwhals puts rows of pandas together by position only if the index says so
        native = added.to_native()
        native.index = given.to_native().index
        added = nw.from_native(native, eager_only=True)
    return nw.concat([given.rename(names), added], how="horizontal")
