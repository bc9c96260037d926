"""Answers of a server that go into its review: records that it is less sure of than was asked for.

Knows extractions, schemas and the store; knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from extractft.errors import ReviewError
from extractft.extractor import Extraction
from extractft.review import NewItem, ReviewStore
from extractft.review.review_sources import LOW_CONFIDENCE
from extractft.schema import Schema

__all__ = ["DoubtfulAnswers"]

PLACES = 4
SERVED = "served"
logger = logging.getLogger(__name__)


class DoubtfulAnswers:
    """Adds the records of answers to a review, before the answers are given.

    A text that is there already is not added again. An answer is given whether its record could be added or not.

    Args:
        store: The review.
        least: Records with a lower confidence are added.
    """

    def __init__(self, store: ReviewStore, least: float) -> None:
        self._store = store
        self._least = least

    async def __call__(self, name: str, schema: Schema[Any], extraction: Extraction[Any]) -> None:
        """Add a record, if it is less certain.

        Args:
            name: The extractor's name.
            schema: The schema of its records.
            extraction: The record with its confidence.
        """
        known = extraction.confidence
        if known is not None and known.record < self._least:
            await asyncio.to_thread(self._add, name, schema, extraction)

    def _add(self, name: str, schema: Schema[Any], extraction: Extraction[Any]) -> None:
        try:
            self._store.add_items([_item(name, schema, extraction)])
        except ReviewError as error:
            logger.error("a record could not be added to the review: %s", error)
        except Exception as error:  # validators of the schema's own may make what cannot be written
            logger.error("a record could not be added to the review (%s)", type(error).__name__)


def _item(name: str, schema: Schema[Any], extraction: Extraction[Any]) -> NewItem:
    known = extraction.confidence
    assert known is not None
    return NewItem(
        extraction.text,
        schema.full_value(extraction.output),
        extractor=name,
        confidence=round(known.record, PLACES),
        fields={path: round(number, PLACES) for path, number in known.fields.items()},
        calibrated=known.calibrated,
        forced=extraction.forced,
        truncated=extraction.truncated,
        reason=LOW_CONFIDENCE,
        source=SERVED,
    )
