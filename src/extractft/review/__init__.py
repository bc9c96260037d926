"""Reviews: records that people look over, what they decide, and the rows to train on that come of it."""

from extractft.review.record_changes import changes_between
from extractft.review.review_database import is_review_database
from extractft.review.review_export import corrected_rows
from extractft.review.review_items import Decision, FieldChange, NewItem, ReviewItem
from extractft.review.review_sources import read_items
from extractft.review.review_statistics import ReviewStatistics, review_statistics
from extractft.review.review_store import AddedItems, ReviewStore

__all__ = [
    "AddedItems",
    "Decision",
    "FieldChange",
    "NewItem",
    "ReviewItem",
    "ReviewStatistics",
    "ReviewStore",
    "changes_between",
    "corrected_rows",
    "is_review_database",
    "read_items",
    "review_statistics",
]
