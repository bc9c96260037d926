"""Arguments and options that several commands share, so that one flag means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extractft.cli.command_paths import file_path, user_path
from extractft.cli.error_messages import setting_names
from extractft.data.data_files import ENDINGS

__all__ = [
    "BASE_MODEL_HELP",
    "DEFAULT_BASE_MODEL",
    "BaseModelOption",
    "ClassOption",
    "ColumnOption",
    "ConfigOption",
    "DataArgument",
    "EncodingOption",
    "EngineOption",
    "EvalDataOption",
    "ExtractorArgument",
    "ForceOption",
    "MovedOption",
    "OutputOption",
    "SchemaArgument",
    "SettingOption",
    "ShowValuesOption",
    "TextColumnOption",
]

DEFAULT_BASE_MODEL = "Qwen/Qwen3-0.6B"

SchemaArgument = Annotated[str, typer.Argument(metavar="SCHEMA", help="`module:Class` or `file.py:Class`.")]
DataArgument = Annotated[
    list[str],
    typer.Argument(metavar="DATA", help=f"Examples: {', '.join(ENDINGS)}; files, folders or patterns."),
]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="How text files are written, such as gb18030; UTF-8 if not given.")
]
ShowValuesOption = Annotated[
    bool, typer.Option("--show-values", help="Let messages quote what was found in bad rows: private data.")
]
ExtractorArgument = Annotated[
    Path, typer.Argument(metavar="EXTRACTOR", parser=user_path, help="Directory of a saved extractor.")
]
BASE_MODEL_HELP = "Hub id, local directory, .gguf file or short name (smollm2-135m)"
BaseModelOption = Annotated[str, typer.Option("--base-model", help=f"{BASE_MODEL_HELP}.")]
ClassOption = Annotated[
    str | None, typer.Option("--schema", help="The class, to run its validators: module:Class or file.py:Class.")
]
MovedOption = Annotated[str | None, typer.Option("--base-model", help="Where the base model is now, if it has moved.")]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Address of a server with the model (http://host:8000), or vllm, vllm-lora or llama.cpp to start one.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="[NAME=]COLUMN",
        help="The column of the text, `complaint`; or of whatever we call NAME, `output=label`; may be given again.",
    ),
]
TextColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="[text=]COLUMN", help="The column of the text, `complaint` or `text=complaint`."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", parser=user_path, metavar="FILE", help="JSON file of TrainingConfig.")
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        autocompletion=lambda incomplete: [name for name in setting_names() if name.startswith(incomplete)],
        help="One setting, `learning_rate=5e-4` or `lora.r=8`; may be given again.",
    ),
]
EvalDataOption = Annotated[
    list[str] | None, typer.Option("--eval-data", help="Held-out examples, as DATA; may be given again.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="Write the result as JSON; - is stdout."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
