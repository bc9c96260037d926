"""The command `convert`: rows for annotation tools and for the training of other models, and back from them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import app
from extractft.cli.command_paths import CommandPaths, file_path, is_stdout
from extractft.cli.data_options import known_encoding
from extractft.cli.error_messages import usage_error
from extractft.cli.inputs import column_names, load_schema, schema_file
from extractft.cli.options import ColumnOption, DataArgument, EncodingOption, ForceOption, SchemaArgument
from extractft.cli.streams import say, write_out, write_text
from extractft.data.data_files import find_data_files
from extractft.errors import DatasetError

__all__ = ["convert"]


class RowForm(StrEnum):
    """Formats of rows."""

    ROWS = "rows"
    LABEL_STUDIO = "label-studio"
    DOCCANO = "doccano"
    OPENAI = "openai"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"


class CountedUnit(StrEnum):
    """Units that doccano and scripts around it count in."""

    CHARACTERS = "characters"
    UTF_16 = "utf-16"
    GRAPHEMES = "graphemes"


FromOption = Annotated[RowForm, typer.Option("--from", help="Format of DATA; rows: any that `fit` reads.")]
ToOption = Annotated[RowForm, typer.Option("--to", help="Format of the output; rows: JSONL that `fit` reads.")]
LinesOption = Annotated[
    Path, typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="The file to write; - is stdout.")
]
LabelingOption = Annotated[
    Path | None,
    typer.Option(parser=file_path, metavar="FILE", help="Write Label Studio's labeling config for SCHEMA, as XML."),
]
PredictionsOption = Annotated[
    bool, typer.Option("--predictions", help="From Label Studio, take predictions where nobody has labelled.")
]
OffsetsOption = Annotated[
    CountedUnit,
    typer.Option(help="Unit that doccano counts in; graphemes if the project says so, characters for scripts."),
]
VersionOption = Annotated[str, typer.Option(help="Name of the model in Label Studio's predictions.")]


@app.command()
def convert(
    schema: SchemaArgument,
    data: DataArgument,
    output: LinesOption,
    source: FromOption = RowForm.ROWS,
    target: ToOption = RowForm.ROWS,
    labeling_config: LabelingOption = None,
    predictions: PredictionsOption = False,
    offsets: OffsetsOption = CountedUnit.UTF_16,
    model_version: VersionOption = "extractft",
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    force: ForceOption = False,
) -> None:
    """Write rows for Label Studio, doccano or the training of other models, or read what these give back."""
    interchange = extractft.interchange
    if labeling_config is not None and target is not RowForm.LABEL_STUDIO:
        raise typer.BadParameter("is for --to label-studio", param_hint="--labeling-config")
    if source is target is RowForm.ROWS:
        raise typer.BadParameter(
            "give one of them: DATA is rows, and so would be the output", param_hint="--from or --to"
        )
    CommandPaths(
        inputs={"DATA": _files(data)},
        sources={"SCHEMA": schema_file(schema), "DATA": data},
        files={"--output": output, "--labeling-config": labeling_config},
        force=force,
    ).check()
    spec: extractft.Schema[Any] = extractft.Schema.of(load_schema(schema))
    options = interchange.InterchangeOptions(
        columns=column_names(column),
        encoding=known_encoding(encoding),
        offsets=offsets.value,
        predictions=predictions,
        unlabelled=target in (RowForm.LABEL_STUDIO, RowForm.DOCCANO),
        model_version=model_version,
    )
    read = interchange.read_rows(data, spec, source.value, options)
    content, written = interchange.rows_content(read.rows, spec, target.value, options)
    if labeling_config is not None:
        write_text(labeling_config, interchange.labeling_config(spec, interchange.labels_of(read.rows, spec)))
    write_out(content) if is_stdout(output) else write_text(output, content)
    _report(read, written, source, target)


def _files(data: list[str]) -> list[Path]:
    try:
        return [file for value in data for file in find_data_files(value) or ()]
    except DatasetError as error:
        raise usage_error(error, "DATA") from error


def _report(read: Any, written: Any, source: RowForm, target: RowForm) -> None:
    """Print what was written, and what the format does not hold."""
    left_out = f", {read.unlabelled} tasks without labels left out" if read.unlabelled else ""
    say(f"{written.rows} rows from {source.value} to {target.value}{left_out}")
    if written.unlabelled:
        say(f"{written.unlabelled} of them without a record, to be labelled")
    for what, count in written.lost.items():
        say(f"not held by {target.value}: {what} ({count} rows)")
