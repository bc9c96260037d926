"""Export an extractor: write it beside its place, hash it, and put it there in one step.

Knows the formats and which files each has; the rooms below know how weights are merged and files are converted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from extractft.artifact.manifest import MANIFEST_FILE
from extractft.errors import ArtifactError, ExtractFTError
from extractft.export.export_card import render_export_card
from extractft.export.export_checks import checked_weights_type, require_export_target
from extractft.export.export_manifest import (
    EXPORT_FILE,
    ExportFormat,
    ExportManifest,
    read_export,
)
from extractft.export.export_source import ExportSource
from extractft.export.gguf_tools import QUANTIZATIONS, convert_to_gguf
from extractft.export.serving_template import modelfile, serving_template
from extractft.modeling import ADAPTER_FILE
from extractft.modeling.quiet_libraries import LOADING_LOCK, no_progress_bars
from extractft.storage import published_directory

__all__ = ["export_model"]

CARD_FILE = "README.md"
MODELFILE = "Modelfile"


def export_model(
    source: ExportSource,
    path: str | Path,
    *,
    format: ExportFormat = "merged",
    dtype: str | None = None,
    quantization: str | None = None,
    force: bool = False,
) -> ExportManifest:
    """Write an extractor for another engine, whole or not at all.

    Args:
        source: The extractor.
        path: The directory to make.
        format: `merged` (a model directory), `adapter` (what vLLM and PEFT load), `gguf`, or `ollama` (GGUF and a
            Modelfile).
        dtype: Type of the weights: `float32`, `bfloat16` or `float16`; that of the extractor if `None`.
        quantization: For `gguf` and `ollama`, a type of fewer bits such as `q8_0` or `q4_k_m`.
        force: True to replace an older export in the same place, if nobody has changed its files.

    Raises:
        ConfigError: The settings do not go together.
        ArtifactError: Something else has the place, there is no adapter to write, or a file cannot be written.
        MissingDependencyError: llama.cpp's converter or quantiser is not installed.
    """
    target = Path(path).expanduser().resolve()
    chosen = checked_weights_type(
        format, dtype, quantization, has_adapter=source.manifest.adapter, default=source.dtype
    )
    require_export_target(target, force=force)
    export = ExportManifest.of(
        source.manifest,
        format=format,
        dtype=chosen,
        quantized=chosen in QUANTIZATIONS,
        max_window=source.max_window,
        weights_file=f"model-{chosen}.gguf" if format in ("gguf", "ollama") else None,
    )
    with _disk_errors(target), published_directory(target) as directory:
        WRITERS[format](source, directory, export)
        manifest_file = MANIFEST_FILE if format == "adapter" else EXPORT_FILE
        card = render_export_card(export, source, manifest_file=manifest_file)
        (directory / CARD_FILE).write_text(card, encoding="utf-8")
        export.write(directory)
    return read_export(target, check_files=False)


def _write_merged(source: ExportSource, directory: Path, export: ExportManifest) -> None:
    _write_model(source, directory, export.dtype)


def _write_model(source: ExportSource, directory: Path, dtype: str) -> None:
    """Merged weights, tokenizer and chat template, with settings that make any engine decode as the extractor does."""
    model = source.merged(dtype)
    settings = model.generation_config
    if settings is not None:
        ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
        end = source.chat.end_token_id
        settings.eos_token_id = [end, *(other for other in ends if other is not None and other != end)]
        settings.do_sample = False
        settings.temperature = settings.top_p = settings.top_k = settings.min_p = None
    for name in ("_name_or_path", "_model_name_or_path"):  # where it lay on this machine
        if hasattr(model.config, name):
            setattr(model.config, name, "")
    with LOADING_LOCK, no_progress_bars():
        model.save_pretrained(directory)
    template, tokenizer = serving_template(source.tokenizer, source.chat), source.tokenizer
    own = tokenizer.chat_template
    try:
        tokenizer.chat_template = template
        tokenizer.save_pretrained(directory)
    finally:
        tokenizer.chat_template = own


def _write_adapter(source: ExportSource, directory: Path, export: ExportManifest) -> None:
    source.save_adapter(directory)
    if not (directory / ADAPTER_FILE).is_file():
        raise ArtifactError("Expected an extractor with an adapter, found an untrained one.")


def _write_gguf(source: ExportSource, directory: Path, export: ExportManifest) -> None:
    assert export.weights_file is not None
    model = directory / "merged"
    _write_model(source, model, "float32")
    name = str(source.manifest.schema_data.get("name", "record"))
    convert_to_gguf(model, directory / export.weights_file, outtype=export.dtype, name=name)
    shutil.rmtree(model)


def _write_ollama(source: ExportSource, directory: Path, export: ExportManifest) -> None:
    assert export.weights_file is not None
    tokenizer, chat = source.tokenizer, source.chat
    begins = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    text = modelfile(
        chat,
        weights_file=export.weights_file,
        num_ctx=source.max_window,
        stop=tokenizer.convert_ids_to_tokens(chat.end_token_id),
        begin=tokenizer.bos_token if begins else None,
    )
    _write_gguf(source, directory, export)
    (directory / MODELFILE).write_text(text, encoding="utf-8")


WRITERS: dict[str, Callable[[ExportSource, Path, ExportManifest], None]] = {
    "merged": _write_merged,
    "adapter": _write_adapter,
    "gguf": _write_gguf,
    "ollama": _write_ollama,
}


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Turn what a full disk makes of writing into an error of extractft's own."""
    try:
        yield
    except (ExtractFTError, MemoryError):
        raise
    except Exception as error:  # safetensors and tokenizers have errors of their own for a full disk
        found = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise ArtifactError(f"Expected to write an export to {target}, found: {found}.").hint(
            "Nothing was left behind. Make room, or export to another disk."
        ) from error
