"""Rates of the fields of many records: how often they are empty and how sure the model was of them.

`fit` keeps those of its rows, so that a run over new texts can say if they have changed. Knows records; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from extractft.confidence.token_confidence import Confidence
from extractft.errors import SchemaError
from extractft.schema import Schema
from extractft.schema.field_presence import field_places, is_empty_at

__all__ = ["FieldRates", "field_rates"]

T = TypeVar("T")
PLACES = 4

FieldRates = Mapping[str, Mapping[str, float]]
"""By the path of a field: `null_rate`, `rows` that it was counted over, and `confidence` if there is one."""


def field_rates(schema: Schema[T], records: Sequence[T], confidences: Iterable[Confidence]) -> FieldRates:
    """Rates of the fields of records.

    Args:
        schema: The schema of the records.
        records: Records to count empty fields in, such as those that were trained on.
        confidences: Confidences in other records, such as the held-out ones.
    """
    values = []
    for record in records:
        with suppress(SchemaError):  # a validator's own making, which training leaves to the canonical form
            values.append(schema.full_value(record))
    known = [confidence.fields for confidence in confidences]
    rates: dict[str, dict[str, float]] = {}
    for path, keys in field_places(schema):
        rates[path] = {"null_rate": _mean([is_empty_at(value, keys) for value in values]), "rows": len(values)}
        sure = [fields[path] for fields in known if path in fields]
        if sure:
            rates[path]["confidence"] = _mean(sure)
    return rates


def _mean(numbers: Sequence[Any]) -> float:
    return round(sum(numbers) / len(numbers), PLACES) if numbers else 0.0
