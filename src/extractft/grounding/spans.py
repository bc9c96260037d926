"""`Span`: where a value stands in a text, and how it was found. Knows no values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Method", "Span"]

Method = Literal["exact", "normalized", "fuzzy"]


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text.

    Attributes:
        start: First character, in the text as it was handed in.
        end: Character after the last one.
        method: The way in which the value was found: `exact`, `text[start:end]` is the value as the record writes it;
            `normalized`, it is the same value in other characters (width, case, white space, accents; a date or a
            number in another form); `fuzzy`, it is something similar, and the value may be wrong.
        score: 1 for `exact` and `normalized`; for `fuzzy` how similar the two are, below 1.

    Example:
        ```python
        spans = extractor.inspect(text).spans
        places = [(span.start, span.end, span.method) for span in spans["name"]]
        ```
    """

    start: int
    end: int
    method: Method
    score: float = 1.0

    def shifted(self, offset: int) -> Span:
        """The same place in a text that has `offset` characters more in front."""
        return Span(self.start + offset, self.end + offset, self.method, self.score)
