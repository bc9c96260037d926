"""The manifest of a bulk run: its input, extractor and settings, and how those of another run differ.

Knows JSON values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import extractft
from extractft.bulk.bulk_config import BulkConfig
from extractft.errors import BulkRunError

__all__ = ["FORMAT_VERSION", "Identity", "manifest_of", "require_same"]

FORMAT_VERSION = 1
SHOWN = 5
"""Differences that a message lists."""
PINNED = ("format_version", "input", "extractor", "engine", "sink", "settings")
"""Parts of the manifest that another run has to have as well."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Input, extractor and settings of a run.

    Attributes:
        input: The input, by content.
        extractor: The extractor, by content.
        engine: What decodes.
        config: The settings.
        sink: The table of a database that records go to, if they go to one.
    """

    input: Any
    extractor: Mapping[str, Any]
    engine: str
    config: BulkConfig
    sink: Mapping[str, str] | None = None


def manifest_of(identity: Identity, scanned: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the manifest.

    Args:
        identity: Input, extractor and settings.
        scanned: Findings in the input.
    """
    return {
        "format_version": FORMAT_VERSION,
        "extractft": extractft.__version__,
        "input": identity.input,
        "extractor": dict(identity.extractor),
        "engine": identity.engine,
        "sink": None if identity.sink is None else dict(identity.sink),
        "settings": identity.config.model_dump(mode="json"),
        "scanned": dict(scanned),
    }


def require_same(manifest: Mapping[str, Any], identity: Identity) -> None:
    """Refuse to go on with a run that is of something else.

    Raises:
        BulkRunError: The message says what differs.
    """
    if manifest.get("input_changed"):
        raise BulkRunError("Expected the input as it was, found that it changed while this run was reading it.").hint(
            "Begin anew with force=True, or in a new directory."
        )
    if "rows" not in dict(manifest.get("scanned") or {}) or "kinds" not in manifest["scanned"]:
        raise BulkRunError("Expected the manifest of a run, found a run.json without what it read.").hint(
            "Begin anew with force=True, or in a new directory."
        )
    wanted = manifest_of(identity, {})
    found = [line for part in PINNED for line in _differences(part, manifest.get(part), wanted[part])]
    if not found:
        return
    more = f"\n  ... and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    lines = "\n  ".join(found[:SHOWN])
    raise BulkRunError(f"Expected the run that the directory holds, found another one:\n  {lines}{more}").hint(
        "Give what it was started with to go on, or name a new directory; force=True begins anew in this one."
    )


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    """The places where two JSON values differ, each in a line."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (first, second) in enumerate(zip(old, new, strict=True), 1):
            yield from _differences(f"{name}.{number}", first, second)
    elif old != new:
        yield f"{name}: expected {_short(old)}, found {_short(new)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
