"""The command `extract`: write one line of JSON for each text, and keep the lines if it is stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

import extractft
from extractft.bulk.run_progress import duration_words, rate_words
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, file_path, is_stdout
from extractft.cli.data_options import STDIN, known_encoding, text_files
from extractft.cli.document_rows import UNREADABLE, DocumentRows, DocumentsOption, document_files
from extractft.cli.extractor_arguments import begin_words, require_extractor
from extractft.cli.inputs import load_extractor, probability, schema_file, text_column
from extractft.cli.options import (
    ClassOption,
    EncodingOption,
    EngineOption,
    ExtractorArgument,
    ForceOption,
    MovedOption,
    TextColumnOption,
)
from extractft.cli.progress_report import ProgressReport, reporting
from extractft.cli.streams import LineWriter, lines_to, say, stdin_bytes
from extractft.data.raw_row import NumberedText
from extractft.errors import DatasetError, ExtractionError

if TYPE_CHECKING:
    from extractft.documents import Document

__all__ = ["extract"]

DEFAULT_MIN_CONFIDENCE = 0.9

LinesOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL file; stdout if not given."),
]
ReviewOption = Annotated[
    Path | None, typer.Option(parser=file_path, metavar="FILE", help="JSONL for records below --min-confidence.")
]
MinConfidenceOption = Annotated[
    float | None, typer.Option(callback=probability, help="Less certain records go to --review (0.9).")
]


@app.command()
def extract(
    extractor: ExtractorArgument,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXTS",
            help="Files of texts: .txt (a text a line) or as DATA of evaluate; folders or patterns; - is stdin.",
        ),
    ],
    output: LinesOption = None,
    documents: DocumentsOption = False,
    column: TextColumnOption = None,
    encoding: EncodingOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Texts decoded side by side.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add confidence and spans to each record.")] = False,
    review: ReviewOption = None,
    min_confidence: MinConfidenceOption = None,
    force: ForceOption = False,
) -> None:
    """Extract a record from each of TEXTS, as JSONL: `{"row": 1, "output": {...}}` or `{"row": 2, "error": ...}`."""
    _require_review(review, min_confidence)
    found = document_files(texts, column) if documents else text_files(texts)
    CommandPaths(
        inputs={"TEXTS": [STDIN] if found is None else found},
        sources={"TEXTS": texts, "EXTRACTOR": extractor, "--schema": schema_file(schema), "--base-model": base_model},
        files={"--output": output or file_path("-"), "--review": review},
        force=force,
    ).check()
    require_extractor(extractor, engine)
    settings: dict[str, Any] = {"column": text_column(column), "encoding": known_encoding(encoding)}
    rows, total = _rows_and_total(found, settings, documents=documents)
    with ExitStack() as stack:
        out = stack.enter_context(lines_to(output, "--output", force=force))
        for_review = None if review is None else stack.enter_context(lines_to(review, "--review", force=force))
        report = stack.enter_context(reporting(beside_records=output is None or is_stdout(output)))
        report.begin(begin_words("", engine))
        model = load_extractor(extractor, schema, base_model, engine)
        lines = _extract_lines(model, rows, batch_size, explain=explain or review is not None)
        lines = _counted(lines, report, total)
        counts = _write_lines(lines, out, for_review, explain=explain, min_confidence=min_confidence)
    say(counts.line(review))
    raise typer.Exit(ROWS_FAILED if counts.failed else 0)


def _require_review(review: Path | None, min_confidence: float | None) -> None:
    if min_confidence is not None and review is None:
        message = "says which records go to --review; give that as well"
        raise typer.BadParameter(message, param_hint="--min-confidence")


class _Line(NamedTuple):
    """A line of the output.

    Attributes:
        content: The JSON object.
        result: The `Extraction` or the record that it holds, `None` if there is none.
        document: The document that the text is of, if it is of one.
    """

    content: dict[str, Any]
    result: Any = None
    document: Document | None = None


@dataclass
class _Counts:
    """Numbers of lines by their kind."""

    records: int = 0
    failed: int = 0
    for_review: int = 0

    def line(self, review: Path | None) -> str:
        """The counts in words."""
        reviewed = f", {self.for_review} to be looked over in {review}" if review else ""
        return f"{self.records} records, {self.failed} failed{reviewed}"


def _write_lines(
    lines: Iterable[_Line], out: LineWriter, review: LineWriter | None, *, explain: bool, min_confidence: float | None
) -> _Counts:
    """Write each line to the output or to the file for review, and count them."""
    counts, least = _Counts(), DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
    for content, result, document in lines:
        if result is None:
            counts.failed += 1
            out(content)
        elif review is not None and _is_below(result, least):
            counts.for_review += 1
            review(content | _explanation(result, document) | {"text": result.text})
        else:
            counts.records += 1
            out(content | _explanation(result, document) if explain else content)
    return counts


@dataclass
class _TextProgress:
    """Progress of `extract`.

    Attributes:
        total: Number of texts, `None` if nobody knows.
        begun: When the first text was begun.
        done: Texts that are done.
        failed: Of these, those without a record.
    """

    total: int | None
    begun: float
    done: int = 0
    failed: int = 0

    def line(self) -> str:
        """The progress in one line."""
        seconds = time.monotonic() - self.begun
        counted = f"{self.done}" if self.total is None else f"{self.done}/{self.total}"
        left = ""
        if self.total is not None:
            rest = "?" if not self.done else duration_words((self.total - self.done) * seconds / self.done)
            left = f", {rest} left"
        return f"{counted} texts, {rate_words(self.done, seconds, 'text')}, {self.failed} failed{left}"


def _counted(lines: Iterable[_Line], report: ProgressReport, total: int | None) -> Iterator[_Line]:
    """The lines, with their progress shown when it is time."""
    progress = _TextProgress(total, time.monotonic())
    report.follow(progress.line)
    for line in lines:
        yield line
        progress.done += 1
        progress.failed += line.result is None
        if report.is_due:
            report.show(progress.line(), progress.done, total)


def _rows_and_total(
    found: Sequence[Path] | None, settings: dict[str, Any], *, documents: bool
) -> tuple[Iterable[NumberedText], int | None]:
    """The rows, and their number if it can be known."""
    if documents:
        return DocumentRows(found or (), settings["encoding"]), len(found or ())
    return extractft.data.iter_text_rows(stdin_bytes() if found is None else found, **settings), _total(found, settings)


def _named(lines: Iterable[_Line], documents: DocumentRows) -> Iterator[_Line]:
    """The lines with the names of their documents, and the documents."""
    for line in lines:
        number = line.content["row"]
        content = {"row": number, "document": documents.name_of(number), **line.content}
        yield line._replace(content=content, document=documents.take(number))


def _total(files: Sequence[Path] | None, settings: dict[str, Any]) -> int | None:
    """The number of texts in files; `None` if they can be read once only or not to the end."""
    if files is None or not all(file.is_file() for file in files):
        return None
    try:
        return sum(1 for _ in extractft.data.iter_text_rows(files, **settings))
    except DatasetError:  # told when the texts before it are done
        return None


def _extract_lines(
    model: Any, rows: Iterable[NumberedText], batch_size: int | None, *, explain: bool
) -> Iterator[_Line]:
    """Extract a line from each row, in order; of documents, with their names."""
    lines = _lines_of_rows(model, rows, batch_size, explain=explain)
    return _named(lines, rows) if isinstance(rows, DocumentRows) else lines


def _lines_of_rows(
    model: Any, rows: Iterable[NumberedText], batch_size: int | None, *, explain: bool
) -> Iterator[_Line]:
    """Extract a line from each row, in order.

    A row that cannot be read or extracted gives a line with the error, and the others go on.
    """
    waiting: deque[NumberedText] = deque()

    def texts() -> Iterator[Any]:
        for row in rows:
            waiting.append(row)
            yield row.text

    outcomes = (model.inspect_many if explain else model.extract_many)(texts(), batch_size=batch_size)
    for outcome in outcomes:
        number, text = waiting.popleft()
        if not isinstance(text, str):
            said = str(text) if text.file else text.message
            kind = "DocumentError" if text.kind == UNREADABLE else "DatasetError"
            yield _error_line(number, kind, f"{said}; see --encoding" if text.kind == "encoding" else said)
        elif isinstance(outcome, ExtractionError):
            yield _error_line(number, type(outcome).__name__, str(outcome))
        else:
            yield _record_line(model, number, outcome, explain=explain)


def _error_line(number: int, error: str, message: str) -> _Line:
    return _Line({"row": number, "error": error, "message": message})


def _record_line(model: Any, number: int, outcome: Any, *, explain: bool) -> _Line:
    try:
        value = model.schema.full_value(outcome.output if explain else outcome)
    except Exception as error:  # the schema's own validators and serialisers may make anything of a record
        message = f"The record cannot be written ({type(error).__name__}): let validators return what fields may hold."
        return _error_line(number, "OutputInvalidError", message)
    return _Line({"row": number, "output": value}, outcome)


def _is_below(extraction: Any, min_confidence: float) -> bool:
    """True if the confidence of a record is unknown or too low."""
    return extraction.confidence is None or bool(extraction.confidence.record < min_confidence)


def _explanation(extraction: Any, document: Document | None) -> dict[str, Any]:
    """Confidence and places of a record, as JSON-able values."""

    def place(span: Any) -> dict[str, Any]:
        where = {} if document is None else {"place": str(document.locate(span.start, span.end))}
        return {"start": span.start, "end": span.end, "method": span.method, **where}

    confidence = extraction.confidence
    known = confidence and {
        "record": round(confidence.record, 4),
        "fields": {path: round(number, 4) for path, number in confidence.fields.items()},
        "calibrated": confidence.calibrated,
    }
    failed = {"explanation_error": extraction.explanation_error} if extraction.explanation_error else {}
    return {
        "confidence": known,
        **failed,
        "spans": {path: [place(span) for span in spans] for path, spans in extraction.spans.items()},
    }
