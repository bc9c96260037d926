"""The command `extract`: texts in, one line of JSON for each out, nothing lost if it is stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, file_path
from extractft.cli.data_options import STDIN, known_encoding, text_files
from extractft.cli.inputs import load_extractor, probability, schema_file
from extractft.cli.options import ClassOption, EncodingOption, ExtractorArgument, ForceOption, MovedOption
from extractft.cli.streams import LineWriter, lines_to, say, stdin_bytes
from extractft.errors import ExtractionError

__all__ = ["extract"]

DEFAULT_MIN_CONFIDENCE = 0.9


@app.command()
def extract(
    extractor: ExtractorArgument,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXTS...",
            help="Files of texts: .txt (a text a line) or as DATA of evaluate; folders or patterns; - is stdin.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL file; stdout if not given."),
    ] = None,
    column: Annotated[str, typer.Option("--column", help="Name of the text column.")] = "text",
    encoding: EncodingOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Texts decoded side by side.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add confidence and spans to each record.")] = False,
    review: Annotated[
        Path | None, typer.Option(parser=file_path, metavar="FILE", help="JSONL for records below --min-confidence.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(callback=probability, help="Less certain records go to --review (0.9).")
    ] = None,
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
    rows = extractft.data.iter_text_rows(source, column=column, encoding=known_encoding(encoding))
    with ExitStack() as stack:
        out = stack.enter_context(lines_to(output, "--output", force=force))
        aside = None if review is None else stack.enter_context(lines_to(review, "--review", force=force))
        model = load_extractor(extractor, schema, base_model)
        least = DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
        lines = _extract_lines(model, rows, batch_size, explain=explain or aside is not None)
        done, failed, unsure = _write_lines(lines, out, aside, explain=explain, least=least)
    say(f"{done} records, {failed} failed" + (f", {unsure} to be looked over in {review}" if review else ""))
    if failed:
        raise typer.Exit(ROWS_FAILED)


def _write_lines(
    lines: Iterable[tuple[dict[str, Any], Any]],
    out: LineWriter,
    aside: LineWriter | None,
    *,
    explain: bool,
    least: float,
) -> tuple[int, int, int]:
    """Write each line to its place; how many are records, failures and doubtful records."""
    done = failed = unsure = 0
    for line, extraction in lines:
        doubtful = aside is not None and extraction is not None and _below(extraction, least)
        failed += extraction is None
        unsure += doubtful
        done += extraction is not None and not doubtful
        if extraction is not None and (explain or doubtful):
            line |= _explanation(extraction)
        if aside is not None and doubtful:
            aside(line | {"text": extraction.text})
        else:
            out(line)
    return done, failed, unsure


def _extract_lines(
    model: Any, rows: Iterable[tuple[int, Any]], batch_size: int | None, *, explain: bool
) -> Iterator[tuple[dict[str, Any], Any]]:
    """One line for each row, in order, with what it came from if it is a record and `explain` asks for it.

    A row that cannot be read fails alone, as one that cannot be extracted does.
    """
    waiting: deque[tuple[int, Any]] = deque()

    def texts() -> Iterator[Any]:
        for number, text in rows:
            waiting.append((number, text))
            yield text

    outcomes = (model.inspect_many if explain else model.extract_many)(texts(), batch_size=batch_size)
    for outcome in outcomes:
        number, text = waiting.popleft()
        if not isinstance(text, str):
            yield {"row": number, "error": "DatasetError", "message": str(text) if text.file else text.message}, None
        elif isinstance(outcome, ExtractionError):
            yield {"row": number, "error": type(outcome).__name__, "message": str(outcome)}, None
        else:
            yield _record_line(model, number, outcome, explain=explain)


def _record_line(model: Any, number: int, outcome: Any, *, explain: bool) -> tuple[dict[str, Any], Any]:
    try:
        value = model.schema.full_value(outcome.output if explain else outcome)
    except Exception as error:  # the schema's own validators and serialisers may make anything of a record
        message = f"The record cannot be written ({type(error).__name__}): let validators return what fields may hold."
        return {"row": number, "error": "OutputInvalidError", "message": message}, None
    return {"row": number, "output": value}, outcome


def _below(extraction: Any, least: float) -> bool:
    """Tell if a record is less certain than is asked for; one whose confidence is not known is."""
    return extraction.confidence is None or bool(extraction.confidence.record < least)


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
