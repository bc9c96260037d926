"""Texts as callers hand them over: what is refused at once, and how their iterable ends. Knows no model."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from extractft.errors import ConfigError, EmptyTextError, ExtractionError
from extractft.processes import raised_by_signal
from extractft.text import is_blank

__all__ = ["TextSource", "require_batch_size", "require_text", "require_texts"]


class TextSource:
    """Texts on their way in; remembers how their iterable ended.

    Attributes:
        stop_after: How many texts in a row may turn out unusable before their errors are handed out.
        exhausted: Whether there is nothing more to read.
        failure: What the iterable raised, if it did.
    """

    def __init__(self, texts: Iterable[str], *, stop_after: int) -> None:
        self.stop_after = stop_after
        self.exhausted = False
        self.failure: Exception | None = None
        self._texts = iter(texts)

    def __iter__(self) -> Iterator[str]:
        while not self.exhausted:
            try:
                text = next(self._texts)
            except StopIteration:
                self.exhausted = True
            except Exception as error:  # the caller's iterable may raise anything
                if raised_by_signal(error):
                    raise
                self.exhausted, self.failure = True, error
            else:
                yield text


def require_text(text: Any) -> str:
    """The text, if a record can be in it.

    Raises:
        EmptyTextError: There is nothing to read in it.
        ExtractionError: It is no text.
    """
    if not isinstance(text, str):
        problem = ExtractionError(f"Expected a text (str), found {type(text).__name__}.", text=_spelled(text))
        if isinstance(text, Mapping):
            problem.hint("Pass the texts of a table, such as `(row['text'] for row in rows)`.")
        raise problem
    if is_blank(text):
        raise EmptyTextError("Expected a text, found nothing but blanks or invisible characters.", text=text).hint(
            "No record is in it, and a model that must answer would invent one. Leave such texts out, or count them "
            "as records without values."
        )
    return text if type(text) is str else str.__str__(text)


def _spelled(thing: Any) -> str:
    try:
        return str(thing)
    except Exception:  # `__str__` may raise anything
        return ""


def require_texts(texts: Any) -> Iterator[str]:
    """The texts in order, if they are several texts and have an order.

    Raises:
        TypeError: They are one text, a table, a mapping, a set, a file or no iterable.
    """
    kind = type(texts).__name__
    if isinstance(texts, str):
        raise _refused(f"a single {kind}", "Call `extract(text)` for one text.")
    if isinstance(texts, bytes | bytearray | memoryview):
        raise _refused(f"a single {kind}", "Decode it first, with its encoding: `data.decode('utf-8')`.")
    if isinstance(texts, Mapping):
        raise _refused(f"a {kind}, whose keys would be read", "Pass the texts: `data['text']` or `data.values()`.")
    if any(hasattr(texts, name) for name in ("columns", "column_names", "fieldnames")):
        raise _refused(
            f"a {kind}, whose names or rows would be read", "Pass the column with the texts: `data['text']`."
        )
    if getattr(texts, "ndim", 1) != 1:
        raise _refused(f"a {kind} of {texts.ndim} dimensions", "Pass the column with the texts: `data[:, 0]`.")
    if isinstance(texts, set | frozenset) or (isinstance(texts, AbstractSet) and not hasattr(texts, "mapping")):
        raise _refused(f"a {kind}, which has no order", "Records come in the order of their texts: pass a list.")
    if isinstance(texts, io.IOBase) or (hasattr(texts, "readline") and hasattr(texts, "read")):
        raise _refused(
            f"a file ({kind}), whose lines would be read",
            "Pass `[file.read()]` for one text, or `(line.rstrip() for line in file)` for one text a line.",
        )
    try:
        return iter(texts)
    except TypeError:
        raise _refused(kind, "Pass a list, or any iterable, of texts.") from None


def _refused(found: str, hint: str) -> TypeError:
    return TypeError(f"expected an iterable of texts, found {found}. {hint}")


def require_batch_size(batch_size: Any) -> None:
    """Refuse a batch size that is no whole number from 1.

    Raises:
        ConfigError: It is none.
    """
    if batch_size is None:
        return
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"expected a batch_size of at least 1, found {batch_size!r}")
