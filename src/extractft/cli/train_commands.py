"""Commands that train or save: `fit`, `resave`, `learning-curve`, `demo`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

import extractft
from extractft.cli.app import app
from extractft.cli.command_paths import CommandPaths, NamedPath, user_path
from extractft.cli.data_options import correction_files, data_files, paths_of
from extractft.cli.error_messages import without_run_flags
from extractft.cli.extractor_arguments import named_extractor
from extractft.cli.inputs import (
    column_names,
    load_config,
    load_extractor,
    load_schema,
    pairs,
    schema_and_data,
    schema_file,
    shares,
)
from extractft.cli.options import (
    BASE_MODEL_HELP,
    DEFAULT_BASE_MODEL,
    BaseModelOption,
    ClassOption,
    ColumnOption,
    ConfigOption,
    DataArgument,
    EncodingOption,
    EvalDataOption,
    ExtractorArgument,
    ForceOption,
    MovedOption,
    OutputOption,
    SchemaArgument,
    SettingOption,
    ShowValuesOption,
)
from extractft.cli.streams import advising_on_interrupt, say, write_out, write_text
from extractft.data import DataFiles

if TYPE_CHECKING:
    from extractft.evaluation import LearningPoint

__all__ = ["demo", "fit", "learning_curve", "resave"]

LARGEST_SEED = 2**32 - 1

SchemaAndDataArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="[SCHEMA] DATA",
        help="`module:Class` or `file.py:Class`, which --init-adapter has if it is left out; then examples: "
        ".jsonl, .json, .csv, .tsv, .parquet, .xlsx; files, folders or patterns.",
    ),
]
FitBaseModelOption = Annotated[
    str | None, typer.Option("--base-model", help=f"{BASE_MODEL_HELP}; {DEFAULT_BASE_MODEL} if not given.")
]
InitAdapterOption = Annotated[
    Path | None,
    typer.Option(
        parser=user_path,
        metavar="DIR",
        help="Saved extractor to go on from, with its schema, base model and prompt.",
    ),
]
FromScratchOption = Annotated[
    bool, typer.Option("--from-scratch", help="Take all from --init-adapter but its weights.")
]
AddOption = Annotated[
    list[str] | None,
    typer.Option(
        "--add",
        metavar="FILE",
        help="Corrections, merged into DATA by text or id, later ones win: rows, or the database of a review.",
    ),
]
WorkDirOption = Annotated[
    Path | None, typer.Option(parser=user_path, metavar="DIR", help="Checkpoints; OUTPUT.training if not given.")
]


@app.command()
def fit(
    arguments: SchemaAndDataArgument,
    output: Annotated[Path, typer.Option("--output", "-o", parser=user_path, metavar="DIR", help="For the extractor.")],
    base_model: FitBaseModelOption = None,
    eval_data: EvalDataOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    config: ConfigOption = None,
    setting: SettingOption = None,
    init_adapter: InitAdapterOption = None,
    from_scratch: FromScratchOption = False,
    add: AddOption = None,
    work_dir: WorkDirOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in the work dir.")] = False,
    force: ForceOption = False,
) -> None:
    """Fine-tune a small model to extract records of SCHEMA from texts like those of DATA, and save the extractor."""
    schema, data = schema_and_data(arguments, optional=init_adapter is not None)
    output = Path(os.path.realpath(output))
    work_dir = work_dir or output.parent / f"{output.name}.training"
    rows, others = _rows(data, eval_data, encoding, show_values)
    _require_unfinished(output, work_dir, resume=resume, force=force)
    CommandPaths(
        inputs={"DATA": paths_of(rows), "--eval-data": paths_of(others), "--config": config, "--add": add},
        sources=_sources(schema, data, eval_data, base_model) | {"--init-adapter": init_adapter},
        directory=NamedPath("--output", output),
        work_dir=NamedPath("--work-dir", work_dir),
        force=force,
    ).check()
    _require_parts(output, init_adapter, from_scratch=from_scratch)
    with advising_on_interrupt("The same command with --resume goes on from the last checkpoint."):
        extractor = extractft.Extractor.fit(
            None if schema is None else load_schema(schema),
            rows,
            eval_data=others,
            config=load_config(config, pairs(setting, "--set")),
            output_dir=work_dir,
            overwrite=force,
            add=correction_files(add, encoding=encoding, show_values=show_values),
            resume=resume,
            **_beginning(base_model, column, init_adapter, from_scratch=from_scratch),
        )
        _save(extractor, output)


def _beginning(
    base_model: str | None, column: list[str] | None, init_adapter: Path | None, *, from_scratch: bool
) -> dict[str, Any]:
    """The arguments of `Extractor.fit` that say what a run begins with, and how to read its data."""
    columns = column_names(column)
    return {"base_model": base_model, "columns": columns, "init_adapter": init_adapter, "from_scratch": from_scratch}


def _require_parts(output: Path, init_adapter: Path | None, *, from_scratch: bool) -> None:
    """Refuse an output that is not to be replaced, and an extractor to go on from that is missing."""
    if from_scratch and init_adapter is None:
        raise typer.BadParameter("says what to leave of --init-adapter; give that as well", param_hint="--from-scratch")
    if init_adapter is not None:
        named_extractor(init_adapter, "--init-adapter")
    importlib.import_module("extractft.artifact").require_replaceable(output)


def _save(extractor: extractft.Extractor[Any], output: Path) -> None:
    """Save an extractor in the one process that does so, and print its scores."""
    if not extractft.training.is_main_process():
        return
    extractor.save_pretrained(output)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in extractor.metrics.items())
    if extractor.comparison is not None:
        for line in extractor.comparison.lines():
            say(line)
    say(f"Saved to {output} ({scores})" if scores else f"Saved to {output}")


class _TrainingFiles(NamedTuple):
    """Files to train on and files of held-out rows."""

    train: DataFiles | None
    held_out: DataFiles | None


def _rows(
    data: Sequence[str], eval_data: Sequence[str] | None, encoding: str | None, show_values: bool
) -> _TrainingFiles:
    return _TrainingFiles(
        data_files(data, "DATA", encoding=encoding, show_values=show_values),
        data_files(eval_data, "--eval-data", encoding=encoding, show_values=show_values),
    )


def _sources(
    schema: str | None, data: Sequence[str], eval_data: Sequence[str] | None, base_model: str | None
) -> dict[str, str | Path | Sequence[str | Path] | None]:
    """The arguments that may be paths, by flag."""
    return {"SCHEMA": schema_file(schema), "DATA": data, "--eval-data": eval_data, "--base-model": base_model}


def _require_unfinished(output: Path, work_dir: Path, *, resume: bool, force: bool) -> None:
    """Refuse to train where a run is finished, and say where its extractor is.

    Args:
        output: Where the extractor is to be saved.
        work_dir: Where the run works.
        resume: On, a finished run is fine as long as its extractor is not saved yet.
        force: On, any is, and replaced.
    """
    kept, saved = work_dir / "extractor", output.is_dir() and any(output.iterdir())
    if force or not kept.exists() or (resume and not saved):
        return
    found = f"the run in {work_dir} is finished, and its extractor is in {output if saved else kept}; "
    if saved:
        advice = f"--init-adapter {output} with another --output goes on from it, --force trains anew and replaces it"
    else:
        advice = "--resume saves it as --output, --force trains anew and replaces it"
    raise typer.BadParameter(found + advice, param_hint="--resume" if resume else "--work-dir")


@app.command()
def resave(
    extractor: ExtractorArgument,
    schema: ClassOption = None,
    base_model: MovedOption = None,
) -> None:
    """Save EXTRACTOR in today's format, with the same weights; clients of a server need it of older ones."""
    read: dict[str, str | Path | Sequence[str | Path] | None] = {
        "EXTRACTOR": extractor,
        "--schema": schema_file(schema),
        "--base-model": base_model,
    }
    CommandPaths(sources=read).check()
    before = named_extractor(extractor).format_version
    load_extractor(extractor, schema, base_model, None).save_pretrained(extractor)
    say(f"Saved {extractor} in format {named_extractor(extractor).format_version}; it was of format {before}.")


@app.command("learning-curve")
def learning_curve(
    schema: SchemaArgument,
    data: DataArgument,
    base_model: BaseModelOption = DEFAULT_BASE_MODEL,
    eval_data: EvalDataOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    config: ConfigOption = None,
    setting: SettingOption = None,
    fractions: Annotated[str, typer.Option(help="Shares of the rows to fit on.")] = "0.25,0.5,1",
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Fit on more and more of DATA, and say whether more examples would help."""
    rows, others = _rows(data, eval_data, encoding, show_values)
    CommandPaths(
        inputs={"DATA": paths_of(rows), "--eval-data": paths_of(others), "--config": config},
        sources=_sources(schema, data, eval_data, base_model),
        files={"--output": output},
        force=force,
    ).check()
    fits = extractft.extractor.learning_curve(
        load_schema(schema),
        rows,
        fractions=shares(fractions),
        base_model=base_model,
        eval_data=others,
        config=load_config(config, pairs(setting, "--set")),
        columns=column_names(column),
    )
    with without_run_flags():
        points = list(_shown_points(fits, output))
    write_out(extractft.evaluation.advice(points) + "\n")


def _shown_points(fits: Iterator[LearningPoint], output: Path | None) -> Iterator[LearningPoint]:
    """The points as they come, each printed and written before the next, which takes long."""
    points = []
    for point in fits:
        points.append(point)
        low, high = point.interval
        write_out(f"{point.rows} rows: field F1 {point.field_f1:.3f} (95 % interval {low:.3f} to {high:.3f})\n")
        if output:
            shown = json.dumps([found.model_dump(mode="json") for found in points], indent=2)
            write_text(output, shown + "\n")
        yield point


@app.command()
def demo(
    base_model: BaseModelOption = "smollm2-135m",
    train: Annotated[int, typer.Option(min=20, help="Complaints to train on, of the 150 that are shipped.")] = 120,
    test: Annotated[int, typer.Option(min=1, help="Complaints to score on.")] = 20,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", parser=user_path, metavar="DIR", help="Keep the extractor here.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of training.")] = 0,
    force: ForceOption = False,
) -> None:
    """Score the untrained model on complaints, train, score again, extract one record."""
    directory = None if output is None else NamedPath("--output", Path(os.path.realpath(output)))
    CommandPaths(sources={"--base-model": base_model}, directory=directory, force=force).check()
    if directory is not None:
        importlib.import_module("extractft.artifact").require_replaceable(directory.path)
    importlib.import_module("extractft.demo.run").run_demo(
        base_model=base_model, train=train, test=test, output=directory and directory.path, seed=seed
    )
