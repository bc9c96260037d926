"""The command `extract`: write one line of JSON for each text, and keep the lines if it is stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, file_path, is_stdout
from extractft.cli.data_options import STDIN, known_encoding, text_files
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
from extractft.errors import ExtractionError

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
    if min_confidence is not None and review is None:
        message = "says which records go to --review; give that as well"
        raise typer.BadParameter(message, param_hint="--min-confidence")
    found = text_files(texts)
    CommandPaths(
        inputs={"TEXTS": [STDIN] if found is None else found},
        sources={"TEXTS": texts, "EXTRACTOR": extractor, "--schema": schema_file(schema), "--base-model": base_model},
        files={"--output": output or file_path("-"), "--review": review},
        force=force,
    ).check()
    source = stdin_bytes() if found is None else found
    rows = extractft.data.iter_text_rows(source, column=text_column(column), encoding=known_encoding(encoding))
    with ExitStack() as stack:
        out = stack.enter_context(lines_to(output, "--output", force=force))
        for_review = None if review is None else stack.enter_context(lines_to(review, "--review", force=force))
        model = load_extractor(extractor, schema, base_model, engine)
        lines = _extract_lines(model, rows, batch_size, explain=explain or for_review is not None)
        lines = _counted(lines, stack.enter_context(reporting(beside_records=output is None or is_stdout(output))))
        counts = _write_lines(lines, out, for_review, explain=explain, min_confidence=min_confidence)
    reviewed = f", {counts.for_review} to be looked over in {review}" if review else ""
    say(f"{counts.records} records, {counts.failed} failed{reviewed}")
    if counts.failed:
        raise typer.Exit(ROWS_FAILED)


class _Line(NamedTuple):
    """A line of the output.

    Attributes:
        content: The JSON object.
        result: The `Extraction` or the record that it holds, `None` if there is none.
    """

    content: dict[str, Any]
    result: Any = None


@dataclass
class _Counts:
    """Numbers of lines by their kind."""

    records: int = 0
    failed: int = 0
    for_review: int = 0


def _write_lines(
    lines: Iterable[_Line], out: LineWriter, review: LineWriter | None, *, explain: bool, min_confidence: float | None
) -> _Counts:
    """Write each line to the output or to the file for review, and count them."""
    counts, least = _Counts(), DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
    for content, result in lines:
        if result is None:
            counts.failed += 1
            out(content)
        elif review is not None and _is_below(result, least):
            counts.for_review += 1
            review(content | _explanation(result) | {"text": result.text})
        else:
            counts.records += 1
            out(content | _explanation(result) if explain else content)
    return counts


def _counted(lines: Iterable[_Line], report: ProgressReport) -> Iterator[_Line]:
    """The lines, with their progress shown when it is time."""
    begun = time.monotonic()
    failed = 0
    for done, line in enumerate(lines, 1):
        yield line
        failed += line.result is None
        if report.is_due:
            rate = done / max(time.monotonic() - begun, 1e-9)
            report.show(f"{done} texts, {rate:.1f} texts/s, {failed} failed", done, None)


def _extract_lines(
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
            yield _error_line(number, "DatasetError", f"{said}; see --encoding" if text.kind == "encoding" else said)
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


def _explanation(extraction: Any) -> dict[str, Any]:
    """Confidence and places of a record, as JSON-able values."""
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
        "spans": {
            path: [{"start": span.start, "end": span.end, "method": span.method} for span in spans]
            for path, spans in extraction.spans.items()
        },
    }
