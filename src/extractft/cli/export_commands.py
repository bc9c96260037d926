"""Commands for other engines: `export` writes an extractor for them, `verify` proves that they give its records."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, NamedPath, file_path, is_stdout, user_path
from extractft.cli.data_options import data_files, paths_of
from extractft.cli.error_messages import usage_error
from extractft.cli.extractor_arguments import check_engine, named_extractor
from extractft.cli.inputs import load_extractor, pairs, probability, schema_file
from extractft.cli.options import (
    ClassOption,
    ColumnOption,
    EncodingOption,
    ExtractorArgument,
    ForceOption,
    MovedOption,
    OutputOption,
    ShowValuesOption,
)
from extractft.cli.streams import print_report, say, write_text
from extractft.errors import ArtifactError, ConfigError, MissingDependencyError

__all__ = ["export", "verify"]

VerifyDataOption = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="DATA", help="Held-out examples that both sides decode; may be given again."),
]
MinEqualOption = Annotated[
    float | None,
    typer.Option(
        callback=probability,
        help="Least share of equal records (0.99; quantised weights are held to the score instead if not given).",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", parser=file_path, metavar="FILE", help="Write the report of the verification as JSON."),
]
KeepRecordsOption = Annotated[
    bool, typer.Option("--keep-records", help="Put records that differ into the JSON: private data.")
]


@app.command()
def export(
    extractor: ExtractorArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT", parser=user_path, help="Directory to make.")],
    format_: Annotated[str, typer.Option("--format", help="merged, adapter, gguf or ollama.")] = "merged",
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16; that of the extractor if not given.")
    ] = None,
    quantization: Annotated[
        str | None, typer.Option(help="For gguf and ollama: q8_0, q6_k, q5_k_m, q4_k_m and so on.")
    ] = None,
    data: VerifyDataOption = None,
    min_equal: MinEqualOption = None,
    report: ReportOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    force: ForceOption = False,
) -> None:
    """Write EXTRACTOR for another engine, and verify what was written on the texts of --data."""
    if report is not None and not data:
        raise typer.BadParameter("is the report of the verification; give --data as well", param_hint="--report")
    rows = data_files(data, "--data", encoding=encoding, show_values=show_values)
    CommandPaths(
        inputs={"--data": paths_of(rows)},
        sources={"EXTRACTOR": extractor, "--schema": schema_file(schema), "--base-model": base_model},
        files={"--report": report},
        work_dir=NamedPath("OUT", output),
        force=force,
    ).check()
    columns = pairs(column, "--column") or None
    settings: dict[str, Any] = {"format": format_, "dtype": dtype, "quantization": quantization, "force": force}
    _check_export(extractor, output, settings)
    model = load_extractor(extractor, schema, base_model, None)
    written = model.export(output, **settings)
    say(f"Exported to {output} ({written.format}, {written.dtype})")
    if rows is None:
        say("Not verified: give --data with held-out examples, or run extractft verify.")
        return
    candidate = _verification().load_candidate(output, model, directory=extractor, base_model=base_model)
    _finish(_held_together(model, candidate, rows, columns, min_equal), report)


@app.command()
def verify(
    place: Annotated[
        str, typer.Argument(metavar="EXPORT_OR_URL", help="An exported directory, a .gguf file or a server's address.")
    ],
    extractor: Annotated[
        Path, typer.Option("--extractor", parser=user_path, metavar="DIR", help="The extractor it was made from.")
    ],
    data: VerifyDataOption = None,
    min_equal: MinEqualOption = None,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    keep_records: KeepRecordsOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Decode the texts of --data with an export or a server and with the extractor, and compare: 3 if they differ."""
    if not data:
        raise typer.BadParameter("expected files of held-out examples, found none", param_hint="--data")
    if keep_records and output is None:
        raise typer.BadParameter("is for the JSON report; give --output as well", param_hint="--keep-records")
    rows = data_files(data, "--data", encoding=encoding, show_values=show_values)
    CommandPaths(
        inputs={"--data": paths_of(rows)},
        sources={
            "EXPORT_OR_URL": None if "://" in place else place,
            "--extractor": extractor,
            "--schema": schema_file(schema),
            "--base-model": base_model,
        },
        files={"--output": output},
        force=force,
    ).check()
    columns = pairs(column, "--column") or None
    named_extractor(extractor, "--extractor")
    _check_place(place)
    model = load_extractor(extractor, schema, base_model, None, flag="--extractor")
    candidate = _verification().load_candidate(place, model, directory=extractor, base_model=base_model)
    _finish(_held_together(model, candidate, rows, columns, min_equal, keep_records=keep_records), output)


def _check_place(place: str) -> None:
    """Look at what is to be verified before the model is loaded.

    Raises:
        typer.BadParameter: There is no such file or directory, or it is no address.
        EngineError: Nothing at that address answers.
    """
    if "://" in place:
        check_engine(place, "EXPORT_OR_URL")
        importlib.import_module("extractft.remote").require_server(place)
    elif not Path(place).expanduser().exists():
        raise typer.BadParameter(f"no such file or directory: {place}", param_hint="EXPORT_OR_URL")


def _check_export(extractor: Path, output: Path, settings: dict[str, Any]) -> None:
    """Check an export before the model is loaded.

    Raises:
        typer.BadParameter: There is no such extractor, the settings do not go together, a program is not installed,
            or the place is taken.
    """
    manifest = named_extractor(extractor)
    try:
        extractft.export.check_export(manifest, output, **settings)
    except (ConfigError, MissingDependencyError) as error:
        given = [flag for flag in ("format", "dtype", "quantization") if settings[flag] is not None]
        raise usage_error(error, " / ".join(f"--{flag}" for flag in given)) from error
    except ArtifactError as error:
        raise usage_error(
            error, "OUT" if manifest.adapter or settings["format"] != "adapter" else "--format"
        ) from error


def _verification() -> Any:
    return importlib.import_module("extractft.verification")  # loads torch


def _held_together(
    model: Any, candidate: Any, rows: Any, columns: Any, min_equal: float | None, *, keep_records: bool = False
) -> Any:
    return _verification().verify(
        model,
        candidate.extractor,
        rows,
        name=candidate.name,
        quantized=candidate.quantized,
        min_equal=min_equal,
        columns=columns,
        keep_records=keep_records,
    )


def _finish(report: Any, output: Path | None) -> None:
    """Print a report, write it if asked, and exit with 3 if the candidate does not pass."""
    print_report(report, aside=is_stdout(output))
    if output:
        write_text(output, report.to_json() + "\n")
    if not report.passed:
        raise typer.Exit(ROWS_FAILED)
