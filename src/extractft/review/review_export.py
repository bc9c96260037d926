"""Decisions of a review as rows to train on: text, record, id, and who decided when. Knows stores and JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from extractft.review.review_items import Decision, ReviewItem
from extractft.review.review_store import ReviewStore

__all__ = ["corrected_rows", "disagreement", "moment"]


def corrected_rows(
    store: ReviewStore, *, extractor: str | None = None, changed_only: bool = False
) -> Iterator[dict[str, Any]]:
    """A row for each record that was decided on, in the order in which they were added.

    Of several decisions the latest counts. Records that were accepted as they are come along: a person looked at them.

    Args:
        store: The review.
        extractor: Name of the extractor whose records are wanted; all if `None`.
        changed_only: Leave out the records that were accepted as they were proposed.
    """
    for item in store.items(decided=True, extractor=extractor):
        final = item.final
        if final is not None and not (changed_only and final.kind == "accept"):
            yield _row(item, final)


def disagreement(item: ReviewItem) -> bool:
    """True if two reviewers' last words on a record are different records."""
    words = {found.reviewer: found.record for found in item.decisions if found.kind != "skip"}
    records = [*words.values()]
    return any(record != records[0] for record in records[1:])


def moment(at: float) -> str:
    """A time as text, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(item: ReviewItem, final: Decision) -> dict[str, Any]:
    review: dict[str, Any] = {
        "by": final.reviewer,
        "at": moment(final.at),
        "changed": sorted({c.field for c in final.changes}),
    }
    if disagreement(item):
        review["disputed"] = True
    head = {"id": item.item.id, "text": item.item.text, "output": final.record}
    return head | ({"extractor": item.item.extractor} if item.item.extractor else {}) | {"review": review}
