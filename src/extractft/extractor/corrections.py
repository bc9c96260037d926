"""Corrections on their way into training: out of files, rows or a review, merged into the rows that they correct.

Knows reviews and rows; knows no model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from extractft.data import DataFiles, LoadedExamples, MergedRows, load_numbered_examples, merge_rows
from extractft.errors import ReviewError
from extractft.review import ReviewStore, corrected_rows, is_review_database
from extractft.schema import Schema

__all__ = ["load_corrections", "merge_corrections"]

T = TypeVar("T")


def merge_corrections(
    data: Any, add: Any, schema: Schema[T], columns: Mapping[str, str] | None, extractor: str = ""
) -> MergedRows[T]:
    """The rows of `data` with those of `add` in their places.

    Args:
        data: Examples, as `fit` takes them.
        add: Corrections, as `load_corrections` takes them.
        schema: The schema of both.
        columns: Column mapping of the data; corrections have a `text` and an `output`.
        extractor: Name of the extractor whose corrections are wanted, where a review has those of several.

    Raises:
        DatasetError: Rows are bad; all of them are in `.issues`.
        ReviewError: A review cannot be read, or has records of several extractors.
    """
    rows = load_numbered_examples(data, schema, columns=columns)
    corrections = load_corrections(add, schema, extractor)
    return merge_rows(rows, corrections, lambda one, other: schema.full_value(one) == schema.full_value(other))


def load_corrections(add: Any, schema: Schema[T], extractor: str = "") -> LoadedExamples[T]:
    """Corrected rows, later ones last.

    Args:
        add: Rows or files of rows, as `fit` takes its data; the database of a review; or a list of files of both.
        schema: The schema of the records.
        extractor: As for `merge_corrections`.
    """
    found: LoadedExamples[T] = LoadedExamples()
    for source in _sources(add):
        rows = _reviewed(source, extractor) if _is_review(source) else source
        loaded = load_numbered_examples(rows, schema) if rows else LoadedExamples[T]()
        found.examples += loaded.examples
        found.ids += [loaded.id_at(place) for place in range(len(loaded.examples))]
    found.numbers = list(range(1, len(found.examples) + 1))
    return found


def _sources(add: Any) -> list[Any]:
    """The files one by one, since a review among them is read in its own way; anything else as it is."""
    if isinstance(add, DataFiles):
        return [p if _is_review(p) else DataFiles([p], add.encoding, add.show_values) for p in add.paths]
    if isinstance(add, list | tuple) and add and all(isinstance(path, str | os.PathLike) for path in add):
        return list(add)
    return [add]


def _is_review(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and is_review_database(os.fspath(source))


def _reviewed(path: Any, extractor: str) -> list[dict[str, Any]]:
    """The rows that a review decided on.

    Raises:
        ReviewError: It has records of several extractors, and none of the one that is wanted.
    """
    with ReviewStore(path, create=False) as store:
        names = [row["extractor"] for row in store.counts()]
        if len(names) > 1 and extractor not in names:
            raise ReviewError(
                f"Expected a review of one extractor, or of {extractor!r} among others, found {', '.join(names)}."
            ).hint("`extractft review export --extractor NAME` writes the rows of one; add these.")
        return list(corrected_rows(store, extractor=extractor if extractor in names else None))
