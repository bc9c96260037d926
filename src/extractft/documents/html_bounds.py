"""Bounds on HTML pages whose parsing would take hours or all memory. Knows what costs a parser time; parses nothing.

The standard lets a parser look through all open elements at each tag, and copy all open `<font>`s into each block.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from extractft.errors import DocumentError

__all__ = ["require_parsable"]

MOST_STEPS = 500_000_000
"""Open elements, summed over all tags: some seconds of a parser's time."""
MOST_COPIES = 2_000_000
"""Elements such as `<font>` that are copied into the blocks behind them."""
MOST_ATTRIBUTES = 50_000
"""Characters of a tag outside of quotes: each attribute is compared with those before it."""
SAME = 3
"""Equal elements of which a parser makes copies at once."""

COPIED = frozenset(["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"])
WITHOUT_END = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
ENDED_BY_NEXT = ("html", "head", "body", "p", "li", "dt", "dd", "rt", "rp", "tr", "td", "th", "thead", "tbody", "tfoot")
NEVER_WITHIN = frozenset((*WITHOUT_END, *ENDED_BY_NEXT, "colgroup", "caption"))
"""Elements without an end, or that end by themselves where the next one begins."""
RAW = frozenset(("script", "style", "textarea", "title"))
TAG = re.compile(r"""<(?:(!--)|(/?)([a-zA-Z][^\s/>]*+)((?:[^"'>]++|"[^"]*+"|'[^']*+')*+))""")
QUOTED = re.compile(r"\"[^\"]*+\"|'[^']*+'")


def require_parsable(name: str, page: str) -> None:
    """Refuse a page that no parser reads in reasonable time.

    Args:
        name: Name of the file, for the message.
        page: Its text.

    Raises:
        DocumentError: Too much stands within each other.
    """
    scan = _Scan()
    position = 0
    while match := TAG.search(page, position):
        position = match.end()
        comment, ends, tag, attributes = match.groups()
        tag = (tag or "").lower()
        if comment:
            position = _behind(re.compile("--!?>"), page, position)
        elif ends:
            scan.end(tag)
        else:
            scan.begin(tag, attributes)
        if tag in RAW and not ends:
            position = _behind(re.compile(f"</{tag}", re.IGNORECASE), page, position)
        if scan.is_over:
            raise DocumentError(
                f"{name}: expected a page that can be read in some seconds, found too many tags within each other"
            ).hint("Open it in a browser and save its text.")


def _behind(end: re.Pattern[str], page: str, position: int) -> int:
    """The place behind what ends a comment or a script: all of the page belongs to one that does not end."""
    found = end.search(page, position)
    return len(page) if found is None else found.end()


class _Scan:
    """Elements that are open, and what they cost so far; an estimate, since only a parser knows which are closed."""

    def __init__(self) -> None:
        self.is_over = False
        self._open: Counter[str] = Counter()
        self._depth = self._steps = self._copies = self._copied = self._options = 0
        self._copied_open: defaultdict[str, list[str]] = defaultdict(list)
        self._same: Counter[str] = Counter()

    def begin(self, tag: str, attributes: str) -> None:
        """Count a tag that opens an element."""
        if len(attributes) > MOST_ATTRIBUTES:
            self.is_over |= len(QUOTED.sub("", attributes)) > MOST_ATTRIBUTES
        if tag in ("select", "option"):  # each option is compared with those before it
            self._options = 0 if tag == "select" else self._options + 1
            self._steps += self._options
        if tag in COPIED:
            self._open_copied(tag, attributes)
        else:
            self._copies += self._copied
        if tag not in NEVER_WITHIN and not attributes.endswith("/"):
            self._open[tag] += 1
            self._depth += 1
        self._step()

    def end(self, tag: str) -> None:
        """Count a tag that closes an element."""
        self._step()
        if self._open[tag]:
            self._open[tag] -= 1
            self._depth -= 1
        if self._copied_open[tag]:
            key = self._copied_open[tag].pop()
            self._same[key] -= 1
            self._copied -= self._same[key] < SAME

    def _open_copied(self, tag: str, attributes: str) -> None:
        key = tag + attributes
        self._copied += self._same[key] < SAME
        self._same[key] += 1
        self._copied_open[tag].append(key)

    def _step(self) -> None:
        self._steps += self._depth
        self.is_over |= self._steps > MOST_STEPS or self._copies > MOST_COPIES
