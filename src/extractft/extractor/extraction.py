"""A text on its way, and its outcome: a record, and all that is known of it. Knows no engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from extractft.completion import Completion, GenerationRequest
from extractft.confidence.token_confidence import Confidence
from extractft.errors import ExtractionError
from extractft.extractor.extraction_html import extraction_html
from extractft.grounding import Span, Window

__all__ = ["Extraction", "Outcome", "TextJob", "WindowExtraction"]

T = TypeVar("T")


MAX_SHOWN_OUTPUT = 300
"""Most characters of a record in the `repr` of an extraction."""
MAX_SHOWN_VALUES, MAX_SHOWN_VALUE = 60, 60
"""Most values of a printed extraction, and most characters of one."""


def shorten(text: str, limit: int) -> str:
    """The beginning of a text, with dots for the rest."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


@dataclass(frozen=True, repr=False, slots=True)
class Extraction(Generic[T]):
    """A record with what is known about how it came about.

    Attributes:
        output: The validated record.
        text: The text as it was handed in.
        raw_output: The JSON that the model wrote.
        completion: The decided tokens with their log-probabilities and alternatives.
        truncated: Whether the budget ran out and the record was closed early.
        spans: By path, where each value stands in the text, the most likely place first; empty for a value that
            stands nowhere. Only `inspect` looks them up.
        confidence: How far the record can be believed; `None` where nobody asked.
        explanation_error: Where `spans` or `confidence` could not be computed for a record, which of them and why;
            quotes nothing. A validator that returns what its field may not hold makes a record without places.
        forced: Paths of values that the schema left no choice about, or that closed a record whose budget was spent:
            the model was not asked. Known where the confidence is, of a text that was read whole.
        windows: For a text that was taken apart, what came of each piece; empty for a text that was read whole.

    Example:
        ```python
        extraction = extractor.inspect(text)
        first = extraction.spans["email"][0]
        assert text[first.start : first.end] == extraction.output.email
        ```
    """

    output: T
    text: str
    raw_output: str
    completion: Completion
    truncated: bool = False
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    confidence: Confidence | None = None
    windows: tuple[WindowExtraction[T], ...] = ()
    explanation_error: str | None = None
    forced: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The record, shortened, and what is known about it; the text and the tokens are left out."""
        found = [f"output={shorten(repr(self.output), MAX_SHOWN_OUTPUT)}"]
        if self.confidence is not None:
            found.append(f"confidence={self.confidence.record:.3f}")
        if self.spans:
            found.append(f"{sum(1 for spans in self.spans.values() if spans)} of {len(self.spans)} values with places")
        if self.windows:
            found.append(f"{len(self.windows)} windows")
        if self.truncated:
            found.append("truncated=True")
        if self.explanation_error is not None:
            found.append(f"explanation_error={self.explanation_error!r}")
        return f"Extraction({', '.join(found)})"

    def __str__(self) -> str:
        """The record, and a line for each value with its place in the text and its confidence, to be printed."""
        certain = {} if self.confidence is None else self.confidence.fields
        paths = list(dict.fromkeys([*self.spans, *certain]))
        lines = [f"  {path}: {self._known_of(path)}" for path in paths[:MAX_SHOWN_VALUES]]
        more = len(paths) - MAX_SHOWN_VALUES
        return "\n".join([repr(self), *lines, *([f"  and {more} more"] if more > 0 else [])])

    def _repr_html_(self) -> str:
        """The text with the places of its values, and a table of them, as notebooks show it."""
        return extraction_html(self)

    def _known_of(self, path: str) -> str:
        """The place and the confidence of a value, in words."""
        found = []
        if path in self.spans:
            place = next(iter(self.spans[path]), None)
            found.append("not in the text")
            if place is not None:
                written = shorten(repr(self.text[place.start : place.end]), MAX_SHOWN_VALUE)
                found[0] = f"{written} at {place.start}-{place.end} ({place.method})"
        if self.confidence is not None and path in self.confidence.fields:
            found.append(f"confidence {self.confidence.fields[path]:.3f}")
        return ", ".join(found)


@dataclass(frozen=True, slots=True)
class WindowExtraction(Generic[T]):
    """Outcome of a piece of a long text.

    Attributes:
        start: First character of the piece in the whole text.
        extraction: Its record; places are counted from the start of the piece.
        sources: For each value of the merged record that this piece has, its path in this piece's record.
    """

    start: int
    extraction: Extraction[T]
    sources: Mapping[str, str]


Outcome: TypeAlias = Extraction[T] | ExtractionError
"""A record, or why there is none."""


@dataclass(slots=True)
class TextJob(Generic[T]):
    """A text on its way.

    Attributes:
        text: The whole text.
        windows: The pieces that it is read in.
        requests: Requests for those that the engine has not taken yet.
        outcomes: What came of the first of them.
    """

    text: str
    windows: Sequence[Window]
    requests: deque[GenerationRequest] = field(default_factory=deque)
    outcomes: list[Outcome[T]] = field(default_factory=list)

    def piece(self, window: Window) -> str:
        """The text of a window."""
        return self.text if len(self.windows) == 1 else self.text[window.start : window.end]

    @property
    def next_piece(self) -> str:
        """The text of the window whose outcome comes next."""
        return self.piece(self.windows[len(self.outcomes)])

    @property
    def complete(self) -> bool:
        """True if there is an outcome for every window."""
        return len(self.outcomes) == len(self.windows)
