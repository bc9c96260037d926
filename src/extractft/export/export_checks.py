"""Check an export before any work: settings that go together, programs that are installed, a place that is free.

Knows the names of types and formats, files and programs; loads no torch, so that a mistake is told at once.
"""

from __future__ import annotations

from pathlib import Path

from extractft.artifact.manifest import Manifest
from extractft.errors import ArtifactError, ConfigError
from extractft.export.export_manifest import EXPORT_FILE, FORMATS, changed_files, read_export
from extractft.export.gguf_tools import CONVERTED, QUANTIZATIONS, require_gguf_tools
from extractft.storage import LOCK_FILE, restore_lost

__all__ = ["WEIGHT_TYPES", "check_export", "checked_weights_type", "require_export_target"]

WEIGHT_TYPES = ("float32", "bfloat16", "float16")


def check_export(
    manifest: Manifest,
    path: str | Path,
    *,
    format: str = "merged",
    dtype: str | None = None,
    quantization: str | None = None,
    force: bool = False,
) -> None:
    """Check what `export_model` is going to be asked for, before a model is loaded.

    Args:
        manifest: Of the saved extractor.
        path: The directory to make.
        format: One of `FORMATS`.
        dtype: Type of the weights.
        quantization: Type of fewer bits.
        force: True to replace an older export.

    Raises:
        ConfigError: The settings do not go together.
        ArtifactError: Something else has the place, or there is no adapter to write.
        MissingDependencyError: llama.cpp's converter or quantiser is not installed.
    """
    checked_weights_type(format, dtype, quantization, has_adapter=manifest.adapter, default="float32")
    require_export_target(Path(path).expanduser().resolve(), force=force)


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


def checked_weights_type(
    format_: str, dtype: str | None, quantization: str | None, *, has_adapter: bool, default: str
) -> str:
    """The type of the exported weights.

    Args:
        format_: One of `FORMATS`.
        dtype: Type that was asked for.
        quantization: Type of fewer bits that was asked for.
        has_adapter: True if the extractor was trained.
        default: Type of the weights in memory.

    Raises:
        ConfigError: The settings do not go together.
        ArtifactError: There is no adapter to write.
        MissingDependencyError: llama.cpp's converter or quantiser is not installed.
    """
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
        if not has_adapter:
            raise ArtifactError("Expected an extractor with an adapter, found an untrained one.").hint(
                "Export it with format='merged'."
            )
        if dtype not in (None, "float32"):
            raise ConfigError(f"Expected an adapter in float32, as it was trained, found dtype={dtype!r}.").hint(
                "Engines give an adapter the type of the base weights when they load it."
            )
        return "float32"
    if not to_gguf:
        chosen = dtype or default
        if chosen not in WEIGHT_TYPES:
            raise ConfigError(f"Expected a dtype among {', '.join(WEIGHT_TYPES)}, found {chosen!r}.")
        return chosen
    return _gguf_type((quantization or dtype or default).lower())


def _gguf_type(wanted: str) -> str:
    """The type of a GGUF file, if the programs that write it are installed."""
    chosen = CONVERTED.get(wanted, wanted)
    if chosen not in (*CONVERTED.values(), *QUANTIZATIONS):
        names = ", ".join(dict.fromkeys((*CONVERTED.values(), *QUANTIZATIONS)))
        raise ConfigError(f"Expected a GGUF type among {names}, found {wanted!r}.")
    require_gguf_tools(chosen)
    return chosen
