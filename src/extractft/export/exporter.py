"""Export an extractor: write it beside its place, hash it, and put it there in one step.

Knows the formats and which files each has; the rooms below know how weights are merged and files are converted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from extractft.artifact.manifest import MANIFEST_FILE
from extractft.errors import ArtifactError, ConfigError, ExtractFTError
from extractft.export.export_card import render_export_card
from extractft.export.export_manifest import (
    EXPORT_FILE,
    FORMATS,
    ExportFormat,
    ExportManifest,
    changed_files,
    read_export,
)
from extractft.export.export_source import DTYPES, ExportSource
from extractft.export.gguf_tools import CONVERTED, QUANTIZATIONS, convert_to_gguf, require_gguf_tools
from extractft.export.serving_template import modelfile, serving_template
from extractft.modeling import ADAPTER_FILE
from extractft.storage import LOCK_FILE, published_directory, restore_lost

__all__ = ["export_model", "require_export_target"]

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
    chosen = _checked_settings(source, format, dtype, quantization)
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


def require_export_target(target: Path, *, force: bool) -> None:
    """Refuse a place in which something is that would be lost.

    Raises:
        ArtifactError: There is a file, another directory, an export without `force`, or one with changed files.
    """
    try:
        restore_lost(target)
        if not target.exists() and not target.is_symlink():
            return
        names = {entry.name for entry in target.iterdir()} - {LOCK_FILE} if target.is_dir() else {target.name}
    except OSError as error:
        raise ArtifactError(f"Expected to look into {target}, found: {error}.") from error
    if target.is_dir() and not names:
        return
    if EXPORT_FILE not in names or not target.is_dir():
        raise _taken(target, "a file" if not target.is_dir() else "other files")
    export = read_export(target, check_files=False)
    strange = sorted(names - {name.partition("/")[0] for name in export.files} - {EXPORT_FILE})
    strange += changed_files(target, export)
    if strange:
        raise _taken(target, f"an export with files that it did not write: {', '.join(strange)}")
    if not force:
        raise ArtifactError(f"Expected a new directory at {target}, found an older export.").hint(
            "Give force=True (--force on the command line) to replace it."
        )


def _taken(target: Path, found: str) -> ArtifactError:
    return ArtifactError(f"Expected a new directory or an older export at {target}, found {found}.").hint(
        "Export under another name; nothing but an unchanged export is ever replaced."
    )


def _checked_settings(source: ExportSource, format_: str, dtype: str | None, quantization: str | None) -> str:
    """The type of the exported weights."""
    if format_ not in FORMATS:
        raise ConfigError(f"Expected a format among {', '.join(FORMATS)}, found {format_!r}.")
    to_gguf = format_ in ("gguf", "ollama")
    if quantization is not None and not to_gguf:
        raise ConfigError(f"Expected a quantization with format gguf or ollama, found it with {format_}.").hint(
            "Merged weights can be quantised by the engine that loads them, as vLLM does with --quantization."
        )
    if quantization is not None and dtype is not None:
        raise ConfigError("Expected dtype or quantization, found both: each says what the weights are written as.")
    if format_ == "adapter":
        if not source.manifest.adapter:
            raise ArtifactError("Expected an extractor with an adapter, found an untrained one.").hint(
                "Export it with format='merged'."
            )
        if dtype not in (None, "float32"):
            raise ConfigError(f"Expected an adapter in float32, as it was trained, found dtype={dtype!r}.").hint(
                "Engines give an adapter the type of the base weights when they load it."
            )
        return "float32"
    if not to_gguf:
        chosen = dtype or source.dtype
        if chosen not in DTYPES:
            raise ConfigError(f"Expected a dtype among {', '.join(DTYPES)}, found {chosen!r}.")
        return chosen
    wanted = (quantization or dtype or source.dtype).lower()
    chosen = CONVERTED.get(wanted, wanted)
    if chosen not in (*CONVERTED.values(), *QUANTIZATIONS):
        names = ", ".join(dict.fromkeys((*CONVERTED.values(), *QUANTIZATIONS)))
        raise ConfigError(f"Expected a GGUF type among {names}, found {wanted!r}.")
    require_gguf_tools(chosen)
    return chosen


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
