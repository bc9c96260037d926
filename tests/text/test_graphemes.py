from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.text import Clusters, cuts_word
from timing import assert_within

SIGNS = [
    "a", "é", " ", "\r", "\n", "\u0301", "\u0308", "\u200d", "\ufe0f", "👩", "👧", "\U0001f3fb", "\U0001f1e9", "\U0001f1ea",
    "❤", "각", "가", "\u1100", "\u1161", "\u11a8", "क", "ष", "\u094d", "\u093f", "ก", "\u0e33", "龙", "ﾞ", "1", "\u20e3", "\u00ad",
    "\u0600", "\u200c", "💻",
]  # fmt: skip


@settings(max_examples=1000)
@given(st.lists(st.sampled_from(SIGNS), max_size=10).map("".join))
def test_clusters_are_those_of_unicode(text: str) -> None:
    spans = [match.span() for match in regex.finditer(r"\X", text)]
    clusters = Clusters(text)
    assert list(clusters) == spans
    ends = {end for _, end in spans}
    assert [at for at in range(1, len(text)) if clusters.splits(at)] == [
        at for at in range(1, len(text)) if at not in ends
    ]
    for at in range(len(text) + 1):
        assert not clusters.splits(clusters.start(at))
        assert not clusters.splits(clusters.end(at))
        assert clusters.start(at) <= at <= clusters.end(at)
        assert clusters.splits(at) == (clusters.start(at) < at) == (at < clusters.end(at))


@pytest.mark.parametrize(
    "text",
    [
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "1️⃣",
        "❤️",
        "👍🏽",
        "e\u0301",
        "각",
        "\u1100\u1161\u11a8",
        "\r\n",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_one_cluster(text: str) -> None:
    assert list(Clusters(f"a{text}a")) == [(0, 1), (1, 1 + len(text)), (1 + len(text), 2 + len(text))]


@pytest.mark.parametrize("part", ["🇩", "\u0301", "👩\u200d", "\u0600", "\r\n", "क\u094d", "\u1100", "a"])
def test_time_grows_with_the_length(part: str) -> None:
    """`\\X` alone counts a run of flags anew at each of its ends: 40,000 of them took three seconds."""
    text = "龙" + part * (40_000 // len(part))
    assert_within(lambda: Clusters(text).splits(1), 0.5)


@pytest.mark.parametrize(
    ("text", "at", "cuts"),
    [
        ("team", 2, True),
        ("a team", 2, False),
        ("x3", 1, False),
        ("13", 1, True),
        ("林街", 1, False),
        ("林a", 1, False),
        ("Łódź", 2, True),
        ("домом", 3, True),
        ("서울에서", 2, False),
        ("e\u0301a", 2, True),
        ("a", 0, False),
        ("a", 1, False),
    ],
)
def test_words(text: str, at: int, cuts: bool) -> None:
    assert cuts_word(text, at) is cuts
