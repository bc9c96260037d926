"""The command `select`: which rows to label next, uncertain ones and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import app
from extractft.cli.command_paths import CommandPaths, file_path, user_path
from extractft.cli.data_options import known_encoding, text_files
from extractft.cli.extractor_arguments import begin_words, require_extractor
from extractft.cli.inputs import load_extractor, schema_file, text_column_of
from extractft.cli.options import ClassOption, EncodingOption, EngineOption, ForceOption, MovedOption
from extractft.cli.progress_report import ProgressReport, reporting
from extractft.cli.streams import lines_to, say
from extractft.data.data_files import TEXT_ENDINGS
from extractft.errors import DatasetError

__all__ = ["select"]

Candidates = Annotated[
    list[str], typer.Argument(metavar="TEXTS", help=f"Files of texts: {', '.join(TEXT_ENDINGS)}; folders or patterns.")
]
FromExtractor = Annotated[
    Path | None,
    typer.Option(
        "--extractor",
        parser=user_path,
        metavar="DIR",
        help="Says how certain it is; without one, texts unlike each other.",
    ),
]
CountOption = Annotated[int, typer.Option("--count", "-n", min=1, help="Rows to choose.")]
ChosenOption = Annotated[
    Path | None, typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL; stdout if not given.")
]
LabelledOption = Annotated[
    list[str] | None,
    typer.Option("--labelled", help="Files of rows that have a label: not chosen; may be given again."),
]
NameOption = Annotated[str | None, typer.Option("--id-column", help="Column with a name for each row.")]
KeptOption = Annotated[
    list[str] | None, typer.Option("--keep", help="Column that goes to the output as well; may be given again.")
]
TextsColumn = Annotated[
    str, typer.Option("--column", parser=text_column_of, metavar="[text=]COLUMN", help="Column with the texts.")
]


@app.command()
def select(
    texts: Candidates,
    count: CountOption,
    extractor: FromExtractor = None,
    output: ChosenOption = None,
    labelled: LabelledOption = None,
    id_column: NameOption = None,
    column: TextsColumn = "text",
    keep: KeptOption = None,
    encoding: EncodingOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the groups.")] = 0,
    force: ForceOption = False,
) -> None:
    """Choose the rows of TEXTS that a person should label next, the least certain first."""
    found, known = text_files(texts), text_files(labelled or (), "--labelled") if labelled else []
    if found is None or known is None:
        raise typer.BadParameter("expected files, found standard input", param_hint="TEXTS")
    CommandPaths(
        inputs={"TEXTS": found, "--labelled": known},
        sources={"TEXTS": texts, "--extractor": extractor, "--schema": schema_file(schema)},
        files={"--output": output or file_path("-")},
        force=force,
    ).check()
    if extractor is not None:
        require_extractor(extractor, engine)
    rows = _rows(found, id_column, column, keep, known_encoding(encoding))
    done = [text for file in known for text in extractft.data.iter_texts(file, column, encoding=encoding)]
    lines: Sequence[dict[str, Any]] = [{} for _ in rows]
    if extractor is not None:
        with reporting(beside_records=output is None) as report:
            report.begin(begin_words("", engine))
            model = load_extractor(extractor, schema, base_model, engine, flag="--extractor")
            lines = _lines(model, [row.text for row in rows], report)
    confidences = [_certainty(line) for line in lines] if extractor is not None else None
    chosen = extractft.labelling.choose_rows(
        [row.text for row in rows], count, confidences=confidences, labelled=done, seed=seed
    )
    with lines_to(output, "--output", force=force) as write:
        for place in chosen:
            row = rows[place]
            write({**_head(row), **lines[place], "text": row.text})
    say(f"{len(chosen)} of {len(rows)} texts chosen")


def _rows(
    files: list[Path], id_column: str | None, column: str, keep: list[str] | None, encoding: str | None
) -> list[Any]:
    """The rows that have a text.

    Raises:
        DatasetError: There are none.
    """
    from extractft.bulk.bulk_config import BulkConfig
    from extractft.bulk.input_files import InputFiles

    config = BulkConfig.checked(
        id_column=id_column, text_column=column, keep_columns=tuple(keep or ()), encoding=encoding
    )
    rows = list(InputFiles.find(files, config).rows())
    readable = [row for row in rows if row.text is not None and not extractft.prompt.is_blank(row.text)]
    if not readable:
        first = rows[0].problem if rows else "no rows"
        raise DatasetError(f"Expected rows with texts, found none: {first or 'blank texts'}.").hint(
            "Name the column with --column."
        )
    return readable


def _lines(model: Any, texts: list[str], report: ProgressReport) -> list[dict[str, Any]]:
    """The record of each text and how sure it is, as `run` writes rows for review."""
    from extractft.bulk.row_result import result_of

    found: list[dict[str, Any]] = []
    for outcome in model.inspect_many(texts, explain=("confidence",)):
        result = result_of(outcome, model.schema, ("confidence",))
        if result.error:
            found.append({"output": None, "error": result.error, "message": result.message})
        else:
            known = {"record": result.confidence, "fields": result.fields, "calibrated": result.calibrated}
            found.append({"output": result.record, "confidence": None if result.confidence is None else known})
        if report.is_due:
            report.show(f"{len(found)}/{len(texts)} texts", len(found), len(texts))
    return found


def _certainty(line: dict[str, Any]) -> float | None:
    confidence = line.get("confidence")
    return None if confidence is None else float(confidence["record"])


def _head(row: Any) -> dict[str, Any]:
    """Name and place of a row, and its columns that are kept."""
    return {"id": row.id, "row": row.row, **({"input": dict(row.kept)} if row.kept else {})}
