"""Commands that need no model: `check`, `prompt`."""

from __future__ import annotations

import importlib
import json
from typing import Annotated, Literal

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, is_stdout
from extractft.cli.data_options import data_files, paths_of
from extractft.cli.inputs import column_names, load_schema, schema_file
from extractft.cli.options import (
    DEFAULT_BASE_MODEL,
    BaseModelOption,
    ColumnOption,
    DataArgument,
    EncodingOption,
    EvalDataOption,
    ForceOption,
    OutputOption,
    SchemaArgument,
    ShowValuesOption,
)
from extractft.cli.streams import print_report, say, write_out, write_text

__all__ = ["check", "prompt"]


@app.command()
def check(
    schema: SchemaArgument,
    data: DataArgument,
    eval_data: EvalDataOption = None,
    column: ColumnOption = None,
    encoding: EncodingOption = None,
    show_values: ShowValuesOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Look for what would spoil training: bad rows, duplicates, contradictions, leaks, values not in their text."""
    rows = data_files(data, "DATA", encoding=encoding, show_values=show_values)
    others = data_files(eval_data, "--eval-data", encoding=encoding, show_values=show_values)
    CommandPaths(
        inputs={"DATA": paths_of(rows), "--eval-data": paths_of(others)},
        sources={"SCHEMA": schema_file(schema), "DATA": data, "--eval-data": eval_data},
        files={"--output": output},
        force=force,
    ).check()
    spec: extractft.Schema[object] = extractft.Schema.of(load_schema(schema))
    columns = column_names(column)
    loaded = extractft.data.load_numbered_examples(rows, spec, columns=columns)
    held_out = extractft.data.LoadedExamples[object]()
    if others:
        held_out = extractft.data.load_numbered_examples(others, spec, columns=columns)
    report = extractft.data.check_examples(loaded.examples, spec, eval_examples=held_out.examples)
    report = report.renumbered(loaded.numbers, held_out.numbers)
    print_report(report, aside=is_stdout(output))
    for note in spec.notes:
        say(f"the grammar cannot enforce: {note}")
    if output:
        write_text(output, json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n")
    if not report.ok:
        raise typer.Exit(ROWS_FAILED)


@app.command()
def prompt(
    schema: SchemaArgument,
    language: Annotated[Literal["auto", "zh", "en"], typer.Option(help="Of the prompt.")] = "auto",
    text: Annotated[str | None, typer.Option(help="Show the whole prompt for this text, control tokens too.")] = None,
    base_model: BaseModelOption = DEFAULT_BASE_MODEL,
) -> None:
    """Show what the model sees: the system prompt, or with --text the whole rendered prompt."""
    settings = extractft.PromptConfig(language=language)
    spec: extractft.Schema[object] = extractft.Schema.of(load_schema(schema))
    system_prompt = extractft.prompt.render_system_prompt(spec, settings)
    if text is not None:
        _require_text(text)
        modeling = importlib.import_module("extractft.modeling")
        tokenizer = modeling.load_tokenizer(modeling.resolve_base_model(base_model))
        system_prompt = extractft.prompt.ChatRenderer(tokenizer, system_prompt).render(text)
    write_out(system_prompt + "\n")


def _require_text(text: str) -> None:
    """Refuse bytes of another encoding, which the shell hands over as halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise typer.BadParameter("expected UTF-8, found other bytes", param_hint="--text") from error
