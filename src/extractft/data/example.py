"""`Example`, the unit of training and evaluation data. Knows nothing of files or tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Example"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Example(Generic[T]):
    """A text and the record that should come out of it.

    Attributes:
        text: The source text.
        output: A validated instance of the schema.

    Example:
        ```python
        row = Example("龙琳，nafan@example.com。", Complaint(name="龙琳", email="nafan@example.com"))
        ```
    """

    text: str
    output: T
