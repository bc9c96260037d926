"""Show names of columns and keys in messages, and propose the name that a mistyped one means.

The first row of a file without a header, or the keys of a mapping, may be customers' data. A name is quoted if it is
written like one, and a list of names only if one of them is known. Knows no schema and no files.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

__all__ = ["KNOWN_COLUMNS", "closest_name", "describe_columns", "display_name", "duplicate_names", "format_names"]

MAX_NAME_LENGTH = 40
MAX_SHOWN_NAMES = 20
MAX_COMPARED_NAMES = 500
SIMILAR = 0.75
NAME = re.compile(r"[^\W\d][\w-]*")
CHINESE_TEXTS = ("文本", "内容", "正文", "原文", "消息", "文本内容", "消息内容")
SYNONYMS = {
    "text": (
        "content",
        "body",
        "sentence",
        "document",
        "source",
        "input",
        "complaint",
        "question",
        "message",
        *CHINESE_TEXTS,
    ),
    "output": ("label", "labels", "record", "target", "answer", "response", "completion", "标签", "标注", "输出"),
}
KNOWN_COLUMNS = frozenset(
    {
        *("text", "output", "instruction", "input", "system", "history", "messages", "conversations", "conversation"),
        *("prompt", "completion", "data", "rows", "records", "items", "examples", "train", "test", "validation"),
        *SYNONYMS["text"],
        *SYNONYMS["output"],
        *("id", "index", "name", "label", "labels", "title", "description", "date", "timestamp"),
        *("编号", "序号", "姓名", "名称", "标题", "日期", "时间", "地址", "电话", "描述", "备注", "类别", "类型"),
    }
)
"""Usual column names of example files; quoting them reveals nothing.

Other Chinese words are written like the names of persons, so that a list of them alone is never quoted.
"""


def display_name(name: object) -> str:
    """A key or column name for a message; only its length if it does not look like a name."""
    text = str(name)
    return repr(text) if len(text) <= MAX_NAME_LENGTH and NAME.fullmatch(text) else f"<{len(text)} characters>"


def format_names(names: Iterable[object]) -> str:
    """Some names for a message, in their order."""
    remaining = iter(names)
    shown = [display_name(name) for name in islice(remaining, MAX_SHOWN_NAMES)]
    more = sum(1 for _ in remaining)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or "nothing"


def describe_columns(names: Iterable[object], known: Collection[str] = ()) -> str:
    """The columns of a table or the keys of a mapping; only how many there are if none of them is known.

    Args:
        names: As they were found.
        known: Names that may well be there, besides the usual ones.
    """
    found = [str(name) for name in names]
    familiar = KNOWN_COLUMNS.union(known)
    if not found or any(name in familiar for name in found):
        return format_names(found)
    others = f"{len(found)} other{'s' if len(found) > 1 else ''}"
    near = [name for name in found[:MAX_SHOWN_NAMES] if NAME.fullmatch(name) and closest_name(name, familiar)]
    return f"{others}, among them {format_names(near)}" if near else f"{others} (is there a header?)"


def closest_name(name: str, names: Iterable[str]) -> str | None:
    """Of `names`, the one that a mistyped `name` most likely means; `None` if none is near."""
    if len(name) > MAX_NAME_LENGTH:
        return None
    choices = {_plain(choice): choice for choice in _short(names)}
    if _plain(name) in choices:
        return choices[_plain(name)]
    for synonym in SYNONYMS.get(name, ()):
        if synonym in choices:
            return choices[synonym]
    found = difflib.get_close_matches(_plain(name), choices, n=1, cutoff=SIMILAR)
    return choices[found[0]] if found else None


def duplicate_names(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _short(names: Iterable[str]) -> Iterator[str]:
    return (name for name in islice(names, MAX_COMPARED_NAMES) if len(name) <= MAX_NAME_LENGTH and NAME.fullmatch(name))
