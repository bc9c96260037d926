"""The command `run`: extract from files of any size into a directory of shards, and go on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, NamedPath, user_path
from extractft.cli.data_options import known_encoding, require_column, text_files
from extractft.cli.extractor_arguments import begin_words, require_extractor
from extractft.cli.inputs import load_schema, probability, schema_file, text_column_of
from extractft.cli.options import ClassOption, EncodingOption, EngineOption, ExtractorArgument, MovedOption
from extractft.cli.progress_report import ProgressReport, reporting
from extractft.cli.ray_options import ActorOption, RayOption, ray_cluster
from extractft.cli.streams import print_report, say
from extractft.data.data_files import TEXT_ENDINGS

__all__ = ["run", "shown_in"]

MOST_FIELDS = 60
"""Fields in the table at the end; all are in `summary.json`."""


class ShardForm(StrEnum):
    """Forms of shards."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    BATCH = "batch"


InputArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help=f"Files of texts: {', '.join(TEXT_ENDINGS)}, also compressed; folders or patterns.",
    ),
]
RunOption = Annotated[
    Path, typer.Option("--output", "-o", parser=user_path, metavar="DIR", help="Directory of the run.")
]
IdOption = Annotated[str | None, typer.Option(help="Column with a name for each row; row numbers if not given.")]
TextOption = Annotated[
    str,
    typer.Option(
        "--text-column",
        "--column",
        parser=text_column_of,
        metavar="[text=]COLUMN",
        help="Column with the texts; `a.b` reaches into a nested one.",
    ),
]
KeepOption = Annotated[
    list[str] | None, typer.Option("--keep", help="Column that goes to the output as well; may be given again.")
]
FormOption = Annotated[ShardForm, typer.Option("--format", help="Of the shards; batch: requests in, responses out.")]
QueryOption = Annotated[
    str | None, typer.Option("--query", metavar="SQL", help="Rows of the database whose address INPUT is.")
]
IntoOption = Annotated[
    str | None, typer.Option("--into", metavar="URL", help="Database for the records, in place of shards; see --table.")
]
TableOption = Annotated[str | None, typer.Option("--table", help="Its table, which the run makes.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Decode the rows in failed/ once more.")]
ConfidenceOption = Annotated[bool, typer.Option("--confidence", help="Add confidences to each record.")]
SpansOption = Annotated[bool, typer.Option("--spans", help="Add the places of values to each record.")]
LeastOption = Annotated[
    float | None, typer.Option(callback=probability, help="Less certain records go to review/ in DIR.")
]
FailuresOption = Annotated[int | None, typer.Option(min=0, help="Stop when more rows than these have failed.")]
ShardRowsOption = Annotated[int, typer.Option(min=1, help="Rows in a shard; a kill costs one shard at most.")]
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Texts decoded side by side.")]
TextsOption = Annotated[
    bool, typer.Option("--show-texts", help="Write the texts of rows that failed to failed/: private data.")
]
AnewOption = Annotated[bool, typer.Option("--force", help="Begin anew if DIR holds another run, which is deleted.")]


@app.command("run")
def run(
    extractor: ExtractorArgument,
    inputs: InputArgument,
    output: RunOption,
    id_column: IdOption = None,
    text_column: TextOption = "text",
    keep: KeepOption = None,
    encoding: EncodingOption = None,
    form: FormOption = ShardForm.PARQUET,
    confidence: ConfidenceOption = False,
    spans: SpansOption = False,
    min_confidence: LeastOption = None,
    max_failures: FailuresOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    shard_rows: ShardRowsOption = 2000,
    batch_size: BatchSizeOption = None,
    query: QueryOption = None,
    into: IntoOption = None,
    table: TableOption = None,
    ray: RayOption = None,
    ray_actor: ActorOption = None,
    show_texts: TextsOption = False,
    retry_failed: RetryOption = False,
    force: AnewOption = False,
) -> None:
    """Extract from files of any size into shards of records; the same command goes on with a run that was stopped."""
    source, target = _database_query(inputs, query), _database_table(into, table)
    read = _read_paths([] if query else inputs, extractor, base_model, schema)
    CommandPaths(sources=read, work_dir=NamedPath("--output", output)).check()
    require_extractor(extractor, engine)
    settings: dict[str, Any] = {"id_column": id_column, "text_column": text_column, "keep_columns": tuple(keep or ())}
    settings |= {"encoding": known_encoding(encoding), "format": form.value, "min_confidence": min_confidence}
    settings |= {"explain": _parts(confidence=confidence, spans=spans), "show_texts": show_texts}
    settings |= {"shard_rows": shard_rows, "batch_size": batch_size, "max_failures": max_failures, "force": force}
    settings |= {"base_model": base_model, "engine": engine, "table": target, "retry_failed": retry_failed}
    settings |= {"schema": load_schema(schema, "--schema") if schema else None, "ray": ray_cluster(ray, ray_actor)}
    _require_texts([] if query else inputs, settings)
    with reporting() as report:
        report.begin(begin_words("reading the input", engine))
        summary = extractft.bulk.run(extractor, source or inputs, output, progress=shown_in(report), **settings)
    _print_summary(summary)
    if summary.failed:
        raise typer.Exit(ROWS_FAILED)


def _read_paths(inputs: list[str], extractor: Path, base_model: str | None, schema: str | None) -> dict[str, Any]:
    """The arguments that may be paths, by flag."""
    return {"INPUT": inputs, "EXTRACTOR": extractor, "--base-model": base_model, "--schema": schema_file(schema)}


def _require_texts(inputs: list[str], settings: dict[str, Any]) -> None:
    """Refuse files that are missing, and columns of texts that no row has.

    Args:
        inputs: Files, folders and patterns; none if a database is read.
        settings: Those of the run.

    Raises:
        typer.BadParameter: There is no such file.
        DatasetError: No row has such a column.
    """
    if not inputs:
        return
    files = text_files(inputs, "INPUT")
    if files is None:
        raise typer.BadParameter("expected files, found standard input: give its texts to extract", param_hint="INPUT")
    if settings["format"] == "batch" or "." in settings["text_column"]:
        return
    rows = extractft.data.iter_text_rows(files, column=settings["text_column"], encoding=settings["encoding"])
    require_column(rows, "--text-column")


def _database_query(inputs: list[str], query: str | None) -> Any:
    """The query of `--query`; `None` if files are read.

    Raises:
        typer.BadParameter: There is an address without a query, or a query without one address.
    """
    addresses = [value for value in inputs if "://" in value]
    if query is None:
        if addresses:
            raise typer.BadParameter("INPUT is a database; say which of its rows", param_hint="--query")
        return None
    if len(addresses) != 1 or len(inputs) != 1:
        raise typer.BadParameter("needs one INPUT, the address of a database", param_hint="--query")
    return extractft.bulk.DatabaseQuery(inputs[0], query)


def _database_table(url: str | None, name: str | None) -> Any:
    """The table of `--into` and `--table`; `None` if there is none.

    Raises:
        typer.BadParameter: There is one without the other.
    """
    if url is None and name is None:
        return None
    if url is None or name is None:
        raise typer.BadParameter("are given both or not at all", param_hint="--into and --table")
    return extractft.bulk.DatabaseTable(url, name)


def _parts(**asked: bool) -> tuple[str, ...]:
    return tuple(name for name, wanted in asked.items() if wanted)


def shown_in(report: ProgressReport) -> Callable[[Any], None]:
    """A listener that shows progress when it is time."""

    def show(progress: Any) -> None:
        report.follow(progress.line)
        if report.is_due:
            report.show(progress.line(), progress.done, progress.total)

    return show


def _print_summary(summary: Any) -> None:
    """Print counts, rates of the fields and their drift to standard error."""
    from rich.table import Table

    kinds = ", ".join(f"{number} {kind}" for kind, number in summary.errors.items())
    failed = f"{summary.failed} failed ({kinds})" if kinds else "0 failed"
    say(f"{summary.records} records, {summary.review} for review, {failed}")
    say(f"{summary.reused} rows with a text that was decoded before, {summary.truncated} records closed early")
    table = Table("field", "null rate", "confidence", "null rate trained", "confidence trained", box=None)
    for path, line in list(summary.fields.items())[:MOST_FIELDS]:
        numbers = (line.null_rate, line.confidence, line.trained_null_rate, line.trained_confidence)
        cells = ["" if number is None else f"{number:.3f}" for number in numbers]
        table.add_row(f"{path} (moved)" if line.drifted else path, *cells)
    if summary.fields:
        print_report(table, aside=True)
    say(f"Drift: {summary.drift}")
    say(f"Output in {summary.output}")
