"""Read the values of options (schemas, settings, numbers, files, extractors), with errors that name the option."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import math
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer
from pydantic import TypeAdapter, ValidationError

import extractft
from extractft.cli.error_messages import setting_names
from extractft.cli.extractor_arguments import check_engine, named_extractor

if TYPE_CHECKING:
    from extractft.config import TrainingConfig
    from extractft.evaluation import LearningPoint

__all__ = [
    "column_names",
    "load_config",
    "load_curve",
    "load_extractor",
    "load_schema",
    "pairs",
    "parsed_value",
    "probability",
    "schema_and_data",
    "schema_file",
    "shares",
    "text_column",
    "text_column_of",
]

FORM = "expected module:Class or file.py:Class"


def pairs(values: Iterable[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE`, any number of times.

    Raises:
        typer.BadParameter: One has another form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in values or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"expected NAME=VALUE, found {text!r}", param_hint=option)
        if name.strip() in found:
            raise typer.BadParameter(f"{name.strip()} is given twice", param_hint=option)
        found[name.strip()] = value
    return found


def column_names(values: Iterable[str] | None) -> dict[str, str] | None:
    """Our names to those of the columns, from `--column`: a bare name is the column of the text.

    Raises:
        typer.BadParameter: A name is empty, or one of ours comes twice.
    """
    given = [value if "=" in value else f"text={value}" for value in values or ()]
    found = pairs(given, "--column")
    empty = [name for name, column in found.items() if not column.strip()]
    if empty:
        raise typer.BadParameter(f"expected the name of a column for {empty[0]}, found none", param_hint="--column")
    return found or None


def text_column(values: Iterable[str] | None) -> str:
    """The column of the text, from `--column`, where nothing else is read.

    Raises:
        typer.BadParameter: Another column is named.
    """
    found = column_names(values) or {}
    others = [name for name in found if name != "text"]
    if others:
        message = f"only texts are read: expected COLUMN or text=COLUMN, found a column for {others[0]!r}"
        raise typer.BadParameter(message, param_hint="--column")
    return found.get("text", "text")


def text_column_of(value: str) -> str:
    """The column of the text from one option's value, `COLUMN` or `text=COLUMN`."""
    return text_column([value])


def probability(value: float | None) -> float | None:
    """A number from 0 to 1, of which "not a number" is none."""
    if value is not None and not 0 <= value <= 1:
        raise typer.BadParameter(f"expected a number from 0 to 1, found {value}")
    return value


def shares(text: str) -> list[float]:
    """Numbers such as `0.25,0.5,1`."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"expected numbers such as 0.25,0.5,1: {error}", param_hint="--fractions") from error
    wrong = [number for number in numbers if math.isnan(number) or not 0 < number <= 1]
    if wrong:
        raise typer.BadParameter(f"expected shares above 0 and at most 1, found {wrong[0]}", param_hint="--fractions")
    return numbers


# ---------------------------------------------------------------------------------------------------------- schemas


def schema_and_data(arguments: Sequence[str], *, optional: bool) -> tuple[str | None, list[str]]:
    """SCHEMA and DATA out of arguments of which the first may be a schema.

    Args:
        arguments: As they were given.
        optional: True if the schema may be missing.

    Raises:
        typer.BadParameter: There is no schema where one is needed, or no data.
    """
    first, *rest = arguments
    if not _is_schema(first):
        if optional:
            return None, list(arguments)
        raise typer.BadParameter(f"{FORM}, found {first!r}", param_hint="SCHEMA")
    if not rest:
        raise typer.BadParameter("expected files of examples, found none", param_hint="DATA")
    return first, rest


def _is_schema(spec: str) -> bool:
    """True if an argument has the form of a schema and is no file."""
    place, colon, name = spec.rpartition(":")
    named = all(part.isidentifier() for part in name.split("."))
    return bool(place and colon) and named and not Path(spec).exists()


def schema_file(spec: str | None) -> Path | None:
    """The file of a schema, as far as its name shows."""
    place = (spec or "").rpartition(":")[0]
    path = Path(place if place.endswith(".py") else place.replace(".", "/") + ".py")
    return path if path.is_file() else None


def load_schema(spec: str, option: str = "SCHEMA") -> Any:
    """The type that `module:Class` or `file.py:Class` names.

    Raises:
        typer.BadParameter: There is no such module, file or class, or it cannot be imported.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise typer.BadParameter(f"{FORM}, found {spec!r}", param_hint=option)
    module = _from_file(place, option) if place.endswith(".py") else _from_module(place, option)
    value: Any = module
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except Exception as error:  # a module's own __getattr__ may raise anything
            names = [key for key, found in vars(module).items() if isinstance(found, type)]
            raise typer.BadParameter(f"{place} has no {name!r}{_near(name, names)}", param_hint=option) from error
    return value


def _from_module(place: str, option: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise typer.BadParameter(f"{FORM}, found the module {place!r}", param_hint=option)
    sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:  # a module may raise anything, and scripts end themselves
        message = f"{place} cannot be imported: {_told(error)}"
        if isinstance(error, ModuleNotFoundError) and error.name and place.startswith(error.name):
            message = f"there is no module {error.name!r} here{_near(place, [p.stem for p in Path().glob('*.py')])}"
        raise typer.BadParameter(message, param_hint=option) from error


def _from_file(place: str, option: str) -> ModuleType:
    path = Path(place).expanduser()
    if not path.is_file():
        near = _near(path.name, [other.name for other in path.parent.glob("*.py")])
        raise typer.BadParameter(f"no such file: {place}{near}", param_hint=option)
    spec = importlib.util.spec_from_file_location(f"_extractft_schema_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        where = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == spec.origin]
        line = f" (line {where[-1]})" if where else ""
        raise typer.BadParameter(f"{place} cannot be imported: {_told(error)}{line}", param_hint=option) from error
    return module


def _told(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it ends the program when it is imported"
    return f"{type(error).__name__}: {error}"


def _near(name: str, names: Iterable[str]) -> str:
    """A proposal, if one of the names is much like `name`."""
    candidates = sorted(set(names))
    by_case = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return f"; did you mean {by_case[close[0]]}?" if close else ""


# --------------------------------------------------------------------------------------------------------- settings


def load_config(path: Path | None, changes: dict[str, str]) -> TrainingConfig:
    """Defaults, then the file, then `--set`; dotted names reach the nested settings.

    Raises:
        typer.BadParameter: The file cannot be read, or a setting has no such name or value.
    """
    values = {} if path is None else _read_settings(path)
    parsed = {name: parsed_value(text) for name, text in changes.items()}
    for name, value in parsed.items():
        _put(values, name, value)
    try:
        return extractft.TrainingConfig.model_validate(values)
    except ValidationError as error:
        texts = {".".join(map(str, e["loc"])) for e in error.errors() if e["type"] == "string_type"} & changes.keys()
        for name in texts:  # `--set tracking.experiment_name=2024` is a name and no number
            _put(values, name, changes[name])
        problems = error.errors() if not texts else _problems(values)
        if not problems:
            return extractft.TrainingConfig.model_validate(values)
        message = "; ".join(_problem(problem) for problem in problems)
        raise typer.BadParameter(message, param_hint="--set" if path is None else "--config / --set") from error
    except ValueError as error:  # a check of extractft's own
        raise typer.BadParameter(str(error), param_hint="--set" if path is None else "--config / --set") from error


def _problems(values: dict[str, Any]) -> Sequence[Any]:
    try:
        extractft.TrainingConfig.model_validate(values)
    except ValidationError as error:
        return error.errors()
    return ()


def _read_settings(path: Path) -> dict[str, Any]:
    values = _read_json(path, "--config")
    if not isinstance(values, dict):
        message = f"{path}: expected an object of settings, found a {type(values).__name__}"
        raise typer.BadParameter(message, param_hint="--config")
    return values


def _read_json(path: Path, option: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint=option) from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path}: expected JSON in UTF-8, found other bytes", param_hint=option) from error
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path}: expected JSON: {error}", param_hint=option) from error


def parsed_value(text: str) -> Any:
    """A JSON value, or the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    target = values
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(f"{name} is a setting in {parent}, which is set to {inner}", param_hint="--set")
        target = inner
    target[leaf] = value


def _problem(problem: Any) -> str:
    """The words for one error of pydantic about the settings."""
    name = ".".join(str(part) for part in problem["loc"]) or "the settings"
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {name}{_near_setting(name)}"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    found = problem["input"]
    return f"{name}: {message}" + ("" if isinstance(found, dict | list) else f", found {found!r}")


def _near_setting(name: str) -> str:
    names = list(setting_names())
    leaf = name.rpartition(".")[2]
    same = [known for known in names if known.rpartition(".")[2] == leaf]
    parts = [known for known in names if len(leaf) > 3 and leaf in known.rpartition(".")[2].split("_")]
    if same or len(parts) == 1:
        return f"; did you mean {(same or parts)[0]}?"
    return _near(name, names) or _near(leaf, [known.rpartition(".")[2] for known in names])


def load_curve(path: Path | None) -> list[LearningPoint]:
    """The points that `learning-curve --output` wrote.

    Raises:
        typer.BadParameter: The file holds something else.
    """
    if path is None:
        return []
    points = TypeAdapter(list[extractft.evaluation.LearningPoint])
    try:
        return points.validate_python(_read_json(path, "--curve"))
    except ValidationError as error:
        raise typer.BadParameter(f"{path}: expected what learning-curve writes", param_hint="--curve") from error


# ------------------------------------------------------------------------------------------------------- extractors


def load_extractor(
    directory: Path, schema: str | None, base_model: str | None, engine: str | None, *, flag: str = "EXTRACTOR"
) -> Any:
    """Load a saved extractor, with the class and on the engine that are given.

    Raises:
        typer.BadParameter: There is no such extractor, class or engine.
    """
    named_extractor(directory, flag)
    check_engine(engine)
    record_type = load_schema(schema, "--schema") if schema else None
    return extractft.Extractor.from_pretrained(directory, schema=record_type, base_model=base_model, engine=engine)
