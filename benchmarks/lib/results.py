"""Results that are kept: read where they are there, measured and written where they are not."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lib.paths import CACHE, RESULTS


def add_results_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders of results and of checkpoints."""
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="folder of results (default: %(default)s)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        metavar="DIR",
        help="folder of checkpoints and raw outputs (default: %(default)s)",
    )


def cached(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result stored at `path`, made and stored if there is none."""
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    result = make() | {"environment": environment()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(path)
    return result


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result if a file for it was named."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def environment() -> dict[str, str]:
    """Versions, date and machine of a measurement."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "llguidance")}
    return versions | {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
    }
