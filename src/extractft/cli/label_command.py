"""The command `label`: first labels of texts from a model in the house, and the rows that a person should look over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, NamedPath, file_path, is_stdout
from extractft.cli.data_options import known_encoding, text_files
from extractft.cli.error_messages import usage_error
from extractft.cli.inputs import load_schema, probability, schema_file, text_column_of
from extractft.cli.options import BASE_MODEL_HELP, EncodingOption
from extractft.cli.progress_report import reporting
from extractft.cli.run_command import shown_in
from extractft.cli.streams import say
from extractft.data.data_files import TEXT_ENDINGS
from extractft.errors import ConfigError

__all__ = ["label"]

LabelTexts = Annotated[
    list[str], typer.Argument(metavar="TEXTS", help=f"Files of texts: {', '.join(TEXT_ENDINGS)}; folders or patterns.")
]
SchemaOption = Annotated[str, typer.Option("--schema", metavar="SCHEMA", help="`module:Class` or `file.py:Class`.")]
TeacherOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Server with OpenAI's chat completions, http://localhost:8000.")
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="The teacher's model.")]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="Host that texts may be sent to; without it this machine alone."),
]
LabelsOption = Annotated[
    Path, typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL for rows that are ready.")
]
DoubtsOption = Annotated[
    Path | None,
    typer.Option("--review", parser=file_path, metavar="FILE", help="JSONL for all others; OUTPUT.review.jsonl."),
]
SamplesOption = Annotated[int, typer.Option(min=1, max=50, help="Answers to each text, which vote.")]
AgreementOption = Annotated[
    float, typer.Option(callback=probability, help="Rows with less agreement on any field are for review.")
]
InstructionsOption = Annotated[str, typer.Option(help="Further instructions, behind the system prompt of SCHEMA.")]
WeakOption = Annotated[
    str | None, typer.Option("--base-model", help=f"In place of a teacher, untrained and weak: {BASE_MODEL_HELP}.")
]
LabelId = Annotated[str | None, typer.Option(help="Column with a name for each row; row numbers if not given.")]
LabelColumn = Annotated[
    str,
    typer.Option("--column", parser=text_column_of, metavar="[text=]COLUMN", help="Column with the texts."),
]
AtOnceOption = Annotated[int, typer.Option(min=1, max=256, help="Requests under way at once.")]
SecondsOption = Annotated[float, typer.Option(min=0.1, help="Seconds for one answer.")]
AgainOption = Annotated[bool, typer.Option("--retry-failed", help="Ask once more for rows that failed.")]
NewOption = Annotated[bool, typer.Option("--force", help="Begin anew, and replace outputs that exist.")]


@app.command()
def label(
    texts: LabelTexts,
    schema: SchemaOption,
    output: LabelsOption,
    teacher: TeacherOption = None,
    model: ModelOption = None,
    allow_host: HostOption = None,
    review: DoubtsOption = None,
    samples: SamplesOption = 3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of all answers but the first.")] = 0.7,
    min_agreement: AgreementOption = 1.0,
    instructions: InstructionsOption = "",
    base_model: WeakOption = None,
    id_column: LabelId = None,
    column: LabelColumn = "text",
    encoding: EncodingOption = None,
    concurrency: AtOnceOption = 8,
    timeout: SecondsOption = 120.0,
    retry_failed: AgainOption = False,
    force: NewOption = False,
) -> None:
    """Label TEXTS with a model in the house; the same command goes on where it was stopped."""
    _require_one_teacher(teacher, model, base_model)
    doubts = review or output.with_name(f"{output.name.removesuffix('.jsonl')}.review.jsonl")
    _check_paths(texts, schema, output, doubts, force=force)
    record_type = load_schema(schema, "--schema")
    settings = {"samples": samples, "temperature": temperature, "instructions": instructions, "model": model}
    limits = {"allowed_hosts": allow_host or (), "concurrency": concurrency, "timeout": timeout}
    source = _teacher(record_type, teacher, base_model, settings, limits)
    columns = {"id_column": id_column, "text_column": column, "encoding": known_encoding(encoding)}
    with reporting() as report:
        report.begin("reading the input")
        labelled = extractft.labelling.label_texts(
            source,
            texts,
            output,
            doubts,
            min_agreement=min_agreement,
            progress=shown_in(report),
            force=force,
            retry_failed=retry_failed,
            **columns,
        )
    _print_counts(labelled, source, output, doubts)
    raise typer.Exit(ROWS_FAILED if labelled.failed else 0)


def _require_one_teacher(teacher: str | None, model: str | None, base_model: str | None) -> None:
    if (teacher is None) == (base_model is None):
        raise typer.BadParameter("give one of them", param_hint="--teacher or --base-model")
    if teacher is not None and not model:
        raise typer.BadParameter("says which model of --teacher to ask", param_hint="--model")
    if teacher is None and model:
        raise typer.BadParameter("is a model of --teacher", param_hint="--model")


def _check_paths(texts: list[str], schema: str, output: Path, doubts: Path, *, force: bool) -> None:
    """Check the paths; outputs of the run that goes on may be there.

    Raises:
        typer.BadParameter: One cannot be used.
    """
    if is_stdout(output) or is_stdout(doubts):
        raise typer.BadParameter("expected files, found standard output", param_hint="--output and --review")
    folder = extractft.labelling.run_directory(output)
    goes_on = (folder / "run.json").exists()
    found = text_files(texts)
    if found is None:
        raise typer.BadParameter("expected files, found standard input", param_hint="TEXTS")
    CommandPaths(
        inputs={"TEXTS": found},
        sources={"--schema": schema_file(schema), "TEXTS": texts},
        files={"--output": output, "--review": doubts},
        work_dir=NamedPath("--output", folder),
        force=force or goes_on,
    ).check()


def _teacher(
    record_type: Any, url: str | None, base_model: str | None, settings: dict[str, Any], limits: dict[str, Any]
) -> Any:
    """The teacher, or the untrained model in its place."""
    if url is None:
        assert base_model is not None
        say("An untrained model is a weak teacher: look all of its records over, and train on what you have corrected.")
        return extractft.Extractor.from_base(record_type, base_model=base_model)
    labelling = extractft.labelling
    try:
        return labelling.Teacher(record_type, url, labelling.TeacherConfig.checked(**settings), **limits)
    except ConfigError as error:
        raise usage_error(error, "--teacher") from error


def _print_counts(labelled: Any, source: Any, output: Path, doubts: Path) -> None:
    say(f"{labelled.rows} rows in {output}, {labelled.review} records to look over and {labelled.failed} without one")
    if labelled.review or labelled.failed:
        say(f"For review: {doubts}")
    refusals = getattr(source, "refusals", None)
    if refusals:
        say("Answers that were none: " + ", ".join(f"{count} {kind}" for kind, count in sorted(refusals.items())))
    if getattr(source, "held_by", "json_schema") != "json_schema":
        say(f"The server does not take a JSON schema (held by: {source.held_by}); all answers were checked here.")
