"""Splits a long text into windows that overlap, each within a limit, at the boundaries that a reader would choose.

Knows characters and a size function, such as the number of tokens; knows no tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from extractft.errors import ConfigError, InputTooLongError
from extractft.text import Clusters

__all__ = ["Window", "split_text"]

Size = Callable[[str], int]
BOUNDARIES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n[^\S\n]*\n\s*|\r\n?[^\S\r\n]*\r\n?\s*",  # paragraphs
        r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]",  # lines
        r"(?:[。！？；…｡]+[”’」』）】》\"')\]]*|(?<![.!?;])[.!?;]++[”’\"')\]]*+(?=\s))\s*",  # sentences
        r"[，、：—）】」』》]+\s*|[,:)\]](?=\s)\s*|(?<=\s)[-–](?=\s)\s*",  # clauses
        r"\s+",  # words
    )
)
"""Ends of pieces that a text is cut at, the best first; without any of them it is cut between characters."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a text, `text[start:end]`."""

    start: int
    end: int


def split_text(text: str, *, size: Size, limit: int, overlap: int) -> list[Window]:
    """Split a text into windows that cover all of it.

    A window is as long as the limit lets it be, and then cut back to the best boundary in its second half: a blank line
    rather than the end of a line, that rather than the end of a sentence, then of a clause, then a space; between
    characters only where there is none of them, and never within one (CRLF, a letter and its accent, an emoji of
    several). Where the next window begins is chosen the same way, within the overlap that is asked for.

    Args:
        text: Any text.
        size: Measures a piece of the text, for instance in tokens. It is called a few times a window, mostly on pieces
            of about the limit; longer pieces should not be much smaller than shorter ones.
        limit: Most that a window may take up.
        overlap: Most that two neighbours may have in common, in the same unit; below the limit.

    Returns:
        Windows from left to right, at least one; each ends behind the one before it, and begins at its end or before.

    Raises:
        ConfigError: The limit is not above the overlap, or the overlap is negative.
        InputTooLongError: One character with its marks is over the limit.
    """
    if not 0 <= overlap < limit:
        raise ConfigError(f"expected 0 <= overlap < limit, found overlap {overlap} and limit {limit}")
    whole = size(text)
    if whole <= limit:
        return [Window(0, len(text))]
    splitter = _Splitter(text, size, guess=max(1, round(len(text) * limit / whole)))
    windows: list[Window] = []
    start = done = 0
    while done < len(text):
        end = splitter.end(start, done, limit)
        if end <= done:  # the overlap and the next character do not fit together
            start = done
            end = splitter.end(start, done, limit)
        windows.append(Window(start, end))
        start, done = splitter.restart(start, end, overlap), end
    return windows


class _Splitter:
    """Cuts one text; remembers how many characters the limit held last.

    The searches for a length are exact to a 32nd of it: the size is expensive, and cuts go back to boundaries anyway.
    """

    def __init__(self, text: str, size: Size, *, guess: int) -> None:
        self.text = text
        self.size = size
        self.guess = guess
        self.clusters = Clusters(text)

    def end(self, start: int, done: int, limit: int) -> int:
        """The end of a window that begins at `start`, if possible behind `done`."""
        text = self.text
        length = self._reach(lambda n: self.size(text[start : start + n]) <= limit, self.guess, len(text) - start)
        farthest = start + length
        if farthest == len(text):
            return farthest
        self.guess = max(1, length)
        end = self._last_boundary(max(done, start + length // 2), farthest)
        while end > start and self.size(text[start:end]) > limit:  # a cut may split one token into several
            end = self.clusters.start(end - 1)
        if end <= start:
            raise InputTooLongError(f"expected a limit that holds every character, found one above {limit}", text=text)
        return end

    def restart(self, start: int, end: int, overlap: int) -> int:
        """The start of the window behind the one from `start` to `end`."""
        text = self.text
        if not overlap or end == len(text):
            return end
        guess = max(1, round((end - start) * overlap / max(1, self.size(text[start:end]))))
        length = self._reach(lambda n: self.size(text[end - n : end]) <= overlap, guess, end - start - 1)
        low = end - length
        low = self.clusters.end(low)
        middle = low + (end - low) // 2
        for boundary in BOUNDARIES:
            cuts = (match.end() for match in boundary.finditer(text, max(0, low - 2), middle))
            cut = next((cut for cut in cuts if cut >= low and not self.clusters.splits(cut)), None)
            if cut is not None and self.size(text[cut:end]) <= overlap:
                return cut
        return low if self.size(text[low:end]) <= overlap else end

    def _reach(self, fits: Callable[[int], bool], guess: int, most: int) -> int:
        """About the most characters, up to `most`, that fit: a guess, ever larger steps from it, then halving."""
        good, bad = 0, most + 1
        probe, step = min(guess, most), max(1, guess // 8)
        while bad - good > max(1, good // 32):
            if fits(probe):
                good = probe
            else:
                bad = probe
            if bad > most:
                probe = min(most, good + step)
            elif good:
                probe = (good + bad) // 2
            else:
                probe = max(1, bad - step)
            step *= 2
        return good

    def _last_boundary(self, low: int, high: int) -> int:
        """The last of the best boundaries behind `low`, up to `high`."""
        text = self.text
        for boundary in BOUNDARIES:
            cuts = [match.end() for match in boundary.finditer(text, low, high)]
            cuts = [cut for cut in cuts if cut > low and not self.clusters.splits(cut)]
            if cuts:
                return cuts[-1]
        return self.clusters.start(high)
