"""Look at the extractor and the engine that a command names, before any work: what is mistyped is wrong usage.

The rooms that know extractors and servers are loaded when a command looks at one: `--help` does not wait for them.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from extractft.cli.error_messages import usage_error
from extractft.errors import ArtifactNotFoundError, ConfigError, EngineError

if TYPE_CHECKING:
    from extractft.artifact.manifest import Manifest

__all__ = ["begin_words", "check_engine", "named_extractor", "require_extractor"]

SIMILAR = 0.6
MOST_NEIGHBOURS = 2000


def named_extractor(directory: Path, flag: str = "EXTRACTOR") -> Manifest:
    """The manifest of the extractor that an argument names; its files are checked when it is loaded.

    Raises:
        typer.BadParameter: There is no extractor.
        ArtifactError: It is damaged, or of a newer extractft.
    """
    from extractft.artifact.artifact_reader import read_manifest

    try:
        return read_manifest(directory)
    except ArtifactNotFoundError as error:
        if not directory.exists() and (near := _nearest(directory)) is not None:
            error.__notes__ = [f"Did you mean {near}?"]
        raise usage_error(error, flag) from error


def require_extractor(directory: Path, engine: str | None) -> None:
    """Check EXTRACTOR and `--engine`; see `named_extractor` and `check_engine`."""
    named_extractor(directory)
    check_engine(engine)


def check_engine(engine: str | None, flag: str = "--engine") -> None:
    """Check the form of `--engine`; whether a server is there shows when it is connected to.

    Raises:
        typer.BadParameter: It is neither the name of an engine nor an address.
    """
    from extractft.extractor.engine_registry import engine_kind
    from extractft.remote.connect import ServerAddress

    try:
        engine_kind(engine)
        if engine is not None and "://" in engine:
            ServerAddress.parse(engine)
    except (ConfigError, EngineError) as error:
        raise usage_error(error, flag) from error


def begin_words(first: str, engine: str | None) -> str:
    """The beginning of a command, before its first row, in words for a log.

    Args:
        first: What it does besides, such as `reading the input`; may be empty.
        engine: The engine that it was given.
    """
    from extractft.extractor.engine_registry import engine_name

    loads = "loading the model" if engine is None else f"starting {engine}"
    if engine is not None and "://" in engine:
        loads = f"connecting to {engine_name(engine)}"
    return f"{first} and {loads}" if first else loads


def _nearest(directory: Path) -> Path | None:
    """The saved extractor beside a missing directory whose name is most like it."""
    from extractft.artifact.manifest import MANIFEST_FILE

    try:
        names = [path.name for path in sorted(directory.parent.iterdir())[:MOST_NEIGHBOURS] if path.is_dir()]
    except OSError:
        return None
    saved = [name for name in names if (directory.parent / name / MANIFEST_FILE).is_file()]
    close = difflib.get_close_matches(directory.name, saved, n=1, cutoff=SIMILAR)
    return directory.parent / close[0] if close else None
