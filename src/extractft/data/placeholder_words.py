"""Find placeholders (NULL, N/A, 无), which databases and people write into empty cells, among the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

from extractft.data.check_report import Finding, Split
from extractft.data.example import Example
from extractft.schema import Schema, StringNode
from extractft.schema.records import Visit, walk

__all__ = ["is_placeholder", "placeholder_findings"]

T = TypeVar("T")

CASE_SENSITIVE = frozenset({"nan", "NaN", "NAN", "na", "NA", "none", "None", "NONE", "nil", "NIL"})
"""Placeholders only in this spelling: Nan and Na are names."""
ANY_CASE = frozenset(
    {
        *("null", "(null)", "<null>", "[null]", "\\n", "<na>", "<nan>", "nat", "n/a", "n.a.", "n.a", "n/d", "n.d."),
        *("#n/a", "#na", "#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!", "undefined", "unknown", "missing"),
        *("not available", "not applicable", "not specified", "not provided", "unspecified", "no data", "tbd", "tba"),
        *("-", "--", "---", "–", "—", "——", "?", "??", "???", "/", "\\", ".", "*", "_", "''", '""'),
        *(
            "无",
            "空",
            "无数据",
            "未知",
            "不详",
            "暂无",
            "不明",
            "未填",
            "未填写",
            "未提供",
            "没有",
            "暂缺",
            "缺失",
            "待定",
            "待补充",
        ),
        *(
            "なし",
            "該当なし",
            "不明",
            "未定",
            "없음",
            "미상",
            "k.a.",
            "keine angabe",
            "keine angaben",
            "entfällt",
            "s.o.",
        ),
        *("sin datos", "no aplica", "non renseigné", "néant"),
    }
)
MAX_SHOWN_WORDS = 5


def is_placeholder(value: str) -> bool:
    """True if a value is a placeholder for absence."""
    stripped = value.strip()
    return stripped in CASE_SENSITIVE or stripped.casefold() in ANY_CASE


def placeholder_findings(split: Split, examples: Sequence[Example[T]], schema: Schema[T]) -> Iterator[Finding]:
    """A warning for each field with placeholders among its free texts, and one for texts that are placeholders.

    Allowed values of an enum and a field's own default do not count.
    """
    totals: Counter[str] = Counter()
    words: dict[str, Counter[str]] = {}
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(examples, 1):
        for visit in walk(schema.full_value(example.output), schema):
            if not _is_free_text(visit):
                continue
            totals[visit.pattern] += 1
            if is_placeholder(visit.value):
                words.setdefault(visit.pattern, Counter())[visit.value.strip()] += 1
                rows.setdefault(visit.pattern, []).append(row)
    for path, found in words.items():
        message = (
            f"{found.total()} of {totals[path]} values are {_quote(found)}: if that means absence, leave the field out "
            "or write null, or the model learns to write the word"
        )
        yield Finding("placeholder", "warning", message, tuple(dict.fromkeys(rows[path])), path, split)
    texts = {row: example.text for row, example in enumerate(examples, 1) if is_placeholder(example.text)}
    if texts:
        found = Counter(text.strip() for text in texts.values())
        message = f"{len(texts)} of {len(examples)} texts are {_quote(found)}: most likely there was none"
        yield Finding("placeholder", "warning", message, tuple(texts), split=split)


def _is_free_text(visit: Visit) -> bool:
    if not isinstance(visit.node, StringNode) or not isinstance(visit.value, str):
        return False
    return visit.field is None or visit.value != visit.field.default


def _quote(words: Counter[str]) -> str:
    shown = [
        repr(word) if len(words) == 1 else f"{word!r} ({count})" for word, count in words.most_common(MAX_SHOWN_WORDS)
    ]
    more = [f"{len(words) - MAX_SHOWN_WORDS} other such words"] if len(words) > MAX_SHOWN_WORDS else []
    return ", ".join(shown + more)
