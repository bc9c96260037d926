"""Commands that compare extracted records with the labels: `evaluate`, `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import extractft
from extractft.cli.app import app
from extractft.cli.command_paths import CommandPaths, file_path, is_stdout, user_path
from extractft.cli.data_options import advising_on_labels, data_files, paths_of
from extractft.cli.inputs import column_names, load_curve, load_extractor, schema_file
from extractft.cli.options import (
    ClassOption,
    ColumnOption,
    DataArgument,
    EncodingOption,
    EngineOption,
    ExtractorArgument,
    ForceOption,
    MovedOption,
    OutputOption,
    ShowValuesOption,
)
from extractft.cli.streams import print_report, write_out, write_text

__all__ = ["calibrate", "evaluate"]

PageOption = Annotated[
    Path | None,
    typer.Option(
        parser=file_path,
        metavar="FILE",
        help="Write the report as a page that shows texts and wrong records: private data.",
    ),
]
CurveOption = Annotated[
    Path | None, typer.Option(parser=user_path, metavar="FILE", help="Output of learning-curve, to show on the page.")
]


@app.command()
def evaluate(
    extractor: ExtractorArgument,
    data: DataArgument,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="Score the untrained model as well.")] = False,
    output: OutputOption = None,
    html: PageOption = None,
    curve: CurveOption = None,
    force: ForceOption = False,
) -> None:
    """Extract from the texts of DATA and compare with their records, field by field."""
    if is_stdout(html):
        raise typer.BadParameter("expected a file, found standard output", param_hint="--html")
    if curve is not None and html is None:
        raise typer.BadParameter("is shown on the page; give --html as well", param_hint="--curve")
    rows = data_files(data, "DATA", encoding=encoding, show_values=show_values)
    CommandPaths(
        inputs={"DATA": paths_of(rows), "--curve": curve},
        sources={"DATA": data, "EXTRACTOR": extractor, "--schema": schema_file(schema), "--base-model": base_model},
        files={"--output": output, "--html": html},
        force=force,
    ).check()
    points, columns = load_curve(curve), column_names(column)
    model = load_extractor(extractor, schema, base_model, engine)
    private, aside = html is not None, is_stdout(output)
    with advising_on_labels("evaluate"):
        report = model.evaluate(rows, columns=columns, keep_records=private, keep_texts=private)
    print_report(report, aside=aside)
    before = None
    if baseline:
        untrained: extractft.Extractor[object] = extractft.Extractor.from_base(
            model.schema, base_model=base_model or model.base_model, prompt=model.config.prompt
        )
        before = untrained.evaluate(rows, columns=columns)
        print_report(report.compare(before), aside=aside)
    if output:
        write_text(output, report.model_dump_json(indent=2) + "\n")
    if html:
        report.save_html(html, baseline=before, learning_curve=points)


@app.command()
def calibrate(
    extractor: ExtractorArgument,
    data: DataArgument,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
) -> None:
    """Learn from DATA, which the model was not trained on, how far confidences can be believed; kept in EXTRACTOR."""
    rows = data_files(data, "DATA", encoding=encoding, show_values=show_values)
    CommandPaths(
        inputs={"DATA": paths_of(rows)},
        sources={"DATA": data, "EXTRACTOR": extractor, "--schema": schema_file(schema), "--base-model": base_model},
    ).check()
    model = load_extractor(extractor, schema, base_model, engine)
    with advising_on_labels("calibrate"):
        reports = model.calibrate(rows, columns=column_names(column))
    for what, report in reports.items():
        write_out(
            f"{what}: {report.count}, {report.accuracy:.3f} right ({report.accuracy_at(0.9):.3f} of the surest 90 %). "
            f"{extractft.evaluation.about_confidence(report, what)}\n"
        )
    model.save_pretrained(extractor)
