"""The values in which a corrected record differs from the proposed one, paired as the evaluation pairs them.

Knows JSON values and the field tree; knows no database.
"""

from __future__ import annotations

from typing import Any

from extractft.evaluation.merged_schema import merged_schema
from extractft.evaluation.value_pairing import align
from extractft.evaluation.value_trees import MatchLevel, to_tree
from extractft.review.review_items import FieldChange
from extractft.schema import Schema

__all__ = ["changes_between"]


def changes_between(schema: Schema[Any], proposed: Any, corrected: Any) -> list[FieldChange]:
    """The values that differ, items of lists paired by likeness and not by place.

    Args:
        schema: The schema of both.
        proposed: The record as it was, every field present; `None` if there was none. What is no record of the schema
            counts as none.
        corrected: The record as it is now, every field present.

    Returns:
        Values that were replaced, put in and taken out, in the order of the fields.
    """
    merged = merged_schema(schema)
    after = to_tree(corrected, merged)
    try:
        pairs = list(align(after, None if proposed is None else to_tree(proposed, merged)))
    except Exception:  # a file may hold anything as a record
        pairs = list(align(after, None))
    found = []
    for pair in pairs:
        if pair.match is MatchLevel.EXACT:
            continue
        kind = "wrong" if pair.gold and pair.prediction else "missed" if pair.gold else "invented"
        path = pair.path if pair.gold else pair.prediction_path
        old, new = pair.prediction and pair.prediction.value, pair.gold and pair.gold.value
        found.append(FieldChange(".".join(path.path), ".".join(path.field), kind, old, new))
    return found
