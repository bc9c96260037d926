from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extractft.errors import ConfigError, InputTooLongError
from extractft.grounding import Window, split_text
from extractft.text import Clusters
from timing import assert_within


def pieces(text: str, limit: int, overlap: int = 0, size: Callable[[str], int] = len) -> list[str]:
    return [text[w.start : w.end] for w in split_text(text, size=size, limit=limit, overlap=overlap)]


def test_a_text_that_fits_is_one_window() -> None:
    assert split_text("short", size=len, limit=5, overlap=2) == [Window(0, 5)]
    assert split_text("", size=len, limit=5, overlap=2) == [Window(0, 0)]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("one two. three four\n\nfive six. seven", 30, ["one two. three four\n\n", "five six. seven"]),
        ("one two. three four\nfive six. seven", 30, ["one two. three four\n", "five six. seven"]),
        ("one two three. four five six. seven", 30, ["one two three. four five six. ", "seven"]),
        ("one two three, four five six seven", 26, ["one two three, ", "four five six seven"]),
        ("one two three four five six seven", 20, ["one two three four ", "five six seven"]),
        ("我住林街五号。今天买了台灯！没有收到，谢谢", 16, ["我住林街五号。今天买了台灯！", "没有收到，谢谢"]),
        ("他说：“没有收到。”然后他走了没有回来", 16, ["他说：“没有收到。”", "然后他走了没有回来"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("aaaa\r\nbbbb", 5, ["aaaa", "\r\nbbb", "b"]),
        ("cafe\u0301s", 4, ["caf", "e\u0301s"]),
        ("ab👨‍👩‍👧c", 5, ["ab", "👨‍👩‍👧", "c"]),
        ("pay 3.50 now, then go", 14, ["pay 3.50 now, ", "then go"]),
        ("it is 1,234 or 12:30 or", 10, ["it is ", "1,234 or ", "12:30 or"]),
        ("see a.b/c?d=1;e and so on", 16, ["see a.b/c?d=1;e ", "and so on"]),
    ],
)
def test_windows_end_where_a_reader_would_stop(text: str, limit: int, expected: list[str]) -> None:
    assert pieces(text, limit) == expected


def test_the_overlap_begins_at_a_boundary() -> None:
    text = "One is here. Two is here. Three is here. Four is here. Five is here."
    assert pieces(text, 42, 20) == [
        "One is here. Two is here. Three is here. ",
        "Three is here. Four is here. Five is here.",
    ]
    assert pieces("abcdefgh", 4, 2) == ["abcd", "cdef", "efgh"]


def test_the_size_is_asked_a_few_times_a_window() -> None:
    text = "\n".join(f"line {number} of a long text, with some words." for number in range(5000))
    asked: list[int] = []

    def size(piece: str) -> int:
        asked.append(len(piece))
        return len(piece.encode()) // 4

    windows = split_text(text, size=size, limit=1000, overlap=100)
    assert len(windows) > 50
    assert len(asked) < 16 * len(windows)
    assert sum(asked[1:]) < 16 * len(text), "no search over much more than a window"


@pytest.mark.parametrize("part", [" ", "\n", "\n ", "-", " - ", ".", "a", "\r\n", "(", "。", "\u3000"])
def test_long_runs_of_one_thing_take_no_time(part: str) -> None:
    text = part * (60_000 // len(part))
    windows = assert_within(lambda: split_text(text, size=len, limit=5000, overlap=500), 1)
    assert windows[-1].end == len(text)


def test_impossible_limits_are_errors() -> None:
    with pytest.raises(ConfigError, match="overlap < limit"):
        split_text("text", size=len, limit=3, overlap=3)
    with pytest.raises(ConfigError, match="0 <= overlap"):
        split_text("text", size=len, limit=3, overlap=-1)
    with pytest.raises(InputTooLongError) as caught:
        split_text("ab" + "\u0301" * 9, size=len, limit=5, overlap=0)
    assert caught.value.text.startswith("ab")


PARTS = [
    "a",
    "word ",
    "\n",
    "\r\n",
    "\n\n",
    "。",
    "，",
    ". ",
    "e\u0301",
    "👨‍👩‍👧",
    "龙",
    "🇩🇪",
    "각",
    "  ",
    "1.5",
    "x" * 30,
    "\u3000",
]
SIZES: list[Callable[[str], int]] = [
    len,
    lambda text: len(text.encode()),
    lambda text: len(text) // 2 + 2 * (len(text) % 3 == 1),  # as unsteady as a tokenizer at a cut
]


@given(st.lists(st.sampled_from(PARTS), max_size=80).map("".join), st.integers(1, 60), st.data())
def test_windows_cover_the_text_and_keep_the_limit(text: str, limit: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, limit - 1))
    size = data.draw(st.sampled_from(SIZES))
    try:
        windows = split_text(text, size=size, limit=limit, overlap=overlap)
    except InputTooLongError:
        assume(limit < 40)
        return
    assert (windows[0].start, windows[-1].end) == (0, len(text))
    for window in windows:
        assert size(text[window.start : window.end]) <= limit
        assert not Clusters(text).splits(window.start)
        assert not Clusters(text).splits(window.end)
    for before, after in pairwise(windows):
        assert before.start < after.start <= before.end < after.end
        assert size(text[after.start : before.end]) <= overlap or after.start == before.end


@given(st.text(max_size=200), st.integers(8, 30))
def test_any_text_is_covered_without_gaps(text: str, limit: int) -> None:
    try:
        windows = split_text(text, size=len, limit=limit, overlap=0)
    except InputTooLongError:
        return
    assert "".join(text[window.start : window.end] for window in windows) == text
