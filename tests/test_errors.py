"""Errors travel: between processes, into copies, with all that they say."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import extractft
from extractft import errors
from extractft.errors import (
    ArtifactMismatchError,
    ArtifactNotFoundError,
    DatasetError,
    ExtractFTError,
    InputTooLongError,
    LowConfidenceError,
    MergeConflictError,
    RowIssue,
    SchemaError,
)

MADE: dict[str, Callable[[type[Any]], ExtractFTError]] = {
    "SchemaError": lambda cls: cls("m", path="a.b"),
    "DatasetError": lambda cls: cls("m", issues=[RowIssue(row, "kind", "wrong") for row in range(20)]),
    "ArtifactMismatchError": lambda cls: cls("m", expected="a", found="b"),
    "ExtractionError": lambda cls: cls("m", text="t", raw_output="r"),
    "LowConfidenceError": lambda cls: cls("m", text="t", raw_output="r", extraction={"item": 1}),
    "MergeConflictError": lambda cls: cls("m", path="p", windows=(0, 1), text="t"),
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda error, n=n: pickle.loads(pickle.dumps(error, n)) for n in range(2, 6)},
}


def all_classes() -> list[type[ExtractFTError]]:
    """Every error class of the package, those that a room keeps to itself as well."""
    for module in pkgutil.walk_packages(extractft.__path__, "extractft."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[ExtractFTError]] = [ExtractFTError]
    for cls in found:
        found.extend(sub for sub in cls.__subclasses__() if sub.__module__.startswith("extractft") and sub not in found)
    return found


def make(cls: type[ExtractFTError]) -> ExtractFTError:
    name = next((base.__name__ for base in cls.__mro__ if base.__name__ in MADE), None)
    return cls("m") if name is None else MADE[name](cls)


def said(error: BaseException) -> tuple[Any, ...]:
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize("way", WAYS)
def test_every_error_survives_a_journey_with_all_that_it_says(way: str) -> None:
    classes = all_classes()
    named = {getattr(errors, name) for name in errors.__all__}
    assert {cls for cls in named if not issubclass(cls, Warning)} - {RowIssue} <= {*classes}
    for cls in classes:
        error = make(cls).hint("do this").hint("or that")
        error.found_by = "a test"  # type: ignore[attr-defined]
        back = WAYS[way](error)
        assert said(back) == said(error)
        back.hint("only here")
        assert error.__notes__ == ["do this", "or that"]


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_a_message_stays_what_it_was(message: str, path: str, notes: list[str]) -> None:
    for error in (SchemaError(message, path=path), MergeConflictError(message, path=path, windows=(1, 2), text=path)):
        for note in notes:
            error.hint(note)
        again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
        assert said(again) == said(error)


def test_what_the_system_says_of_a_missing_file_is_kept() -> None:
    error = ArtifactNotFoundError(2, "No such file", "weights")
    back = pickle.loads(pickle.dumps(error))
    assert (back.errno, back.filename, str(back)) == (2, "weights", str(error))
    missing = errors.MissingDependencyError("m", name="pandas")
    assert pickle.loads(pickle.dumps(missing)).name == "pandas"
    assert pickle.loads(pickle.dumps(missing)).msg == "m"


def fail(number: int) -> None:
    kinds: list[ExtractFTError] = [
        InputTooLongError("too long", text="t"),
        ArtifactMismatchError("other", expected="a", found="b"),
        DatasetError("rows", issues=[RowIssue(1, "kind", "wrong")]),
        LowConfidenceError("unsure", text="t", raw_output="r", extraction=None),
    ]
    raise kinds[number].hint("do this")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_whose_workers_fail_comes_to_an_end() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for number, name in enumerate(["InputTooLong", "ArtifactMismatch", "Dataset", "LowConfidence"]):
            with pytest.raises(ExtractFTError) as caught:
                pool.apply_async(fail, (number,)).get(timeout=60)
            assert type(caught.value).__name__ == f"{name}Error"
            assert caught.value.__notes__ == ["do this"]
