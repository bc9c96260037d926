"""What commands are given: schemas, settings and files, read with errors that name the option. Runs nothing."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import extractft

if TYPE_CHECKING:
    from extractft.config import TrainingConfig

__all__ = ["load_config", "load_schema", "pairs", "read_json"]


def pairs(values: Iterable[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE`, any number of times."""
    found = [value.partition("=") for value in values or ()]
    for key, equals, _ in found:
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, found {key!r}", param_hint=option)
    return {key: value for key, _, value in found}


def load_schema(spec: str) -> Any:
    """The type that `module:Class` or `file.py:Class` names."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place:
        raise typer.BadParameter(f"expected module:Class or file.py:Class, found {spec!r}", param_hint="SCHEMA")
    if not place.endswith(".py"):
        sys.path.insert(0, "")
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise typer.BadParameter(f"cannot import {place!r}: {error}", param_hint="SCHEMA") from error
    else:
        path = Path(place)
        if not path.is_file():
            raise typer.BadParameter(f"no such file: {place}", param_hint="SCHEMA")
        module_spec = importlib.util.spec_from_file_location(f"_extractft_schema_{path.stem}", path.resolve())
        assert module_spec is not None
        assert module_spec.loader is not None
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[module_spec.name] = module
        sys.path.insert(0, str(path.resolve().parent))
        try:
            module_spec.loader.exec_module(module)
        except Exception as error:  # the user's file may raise anything
            raise typer.BadParameter(
                f"{place} cannot be imported: {type(error).__name__}: {error}", param_hint="SCHEMA"
            ) from error
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise typer.BadParameter(f"{place} has no {name!r}", param_hint="SCHEMA")
        value = getattr(value, part)
    return value


def load_config(path: Path | None, changes: dict[str, str]) -> TrainingConfig:
    """Defaults, then the file, then `--set`; dotted names reach the nested settings."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}", param_hint="--config") from error
    for name, text in changes.items():
        *parents, leaf = name.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
        try:
            target[leaf] = json.loads(text)
        except json.JSONDecodeError:
            target[leaf] = text
    try:
        return extractft.TrainingConfig.model_validate(values)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--config / --set") from error


def read_json(path: Path | None) -> Any:
    """What a JSON file holds; `None` if none is given."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}", param_hint="--curve") from error
