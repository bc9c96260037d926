"""Lists paired at best, against trying every pairing."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.evaluation.merged_schema import MergedField, MergedSchema
from extractft.evaluation.value_pairing import WEIGHTS, align, pair_items, similarity
from extractft.evaluation.value_trees import ListNode, MappingNode, MatchLevel, ScalarNode, ValueTree, to_tree

TEXT = MergedSchema(scalar=True, strings=True, free_text=True)
TAGS = MergedSchema(items=TEXT)
LINE = MergedSchema(
    fields={"a": MergedField("a", TEXT), "b": MergedField("b", TEXT), "tags": MergedField("tags", TAGS)}
)
LINES = MergedSchema(items=LINE)

words = st.sampled_from(["x", "X", "y", "z"])
tags = st.lists(words, max_size=2)
lines = st.lists(
    st.fixed_dictionaries({"a": st.none() | words, "b": st.none() | words, "tags": tags}), min_size=1, max_size=4
)


def brute(gold: ValueTree, prediction: ValueTree) -> int:
    """The same sum, lists paired by trying every pairing."""
    if isinstance(gold, ScalarNode) and isinstance(prediction, ScalarNode):
        return WEIGHTS[gold.match(prediction)]
    if isinstance(gold, MappingNode) and isinstance(prediction, MappingNode):
        shared = gold.members.keys() & prediction.members.keys()
        return sum(brute(gold.members[key].node, prediction.members[key].node) for key in shared)
    if isinstance(gold, ListNode) and isinstance(prediction, ListNode):
        fewer, more = sorted(([item.node for item in node.items] for node in (gold, prediction)), key=len)
        return max(
            sum(brute(one, other) for one, other in zip(fewer, order, strict=True))
            for order in permutations(more, len(fewer))
        )
    return 0


@given(lines, lines)
@settings(max_examples=300, deadline=None)
def test_lists_are_paired_as_well_as_possible(gold: list[Any], prediction: list[Any]) -> None:
    left, right = to_tree(gold, LINES), to_tree(prediction, LINES)
    if left is not None and right is not None:
        assert similarity(left, right) == brute(left, right)


@given(lines, lines)
@settings(max_examples=200, deadline=None)
def test_pairs_add_up_to_the_similarity_and_cover_everything(gold: list[Any], prediction: list[Any]) -> None:
    left, right = to_tree(gold, LINES), to_tree(prediction, LINES)
    pairs = list(align(left, right))
    if left is not None and right is not None:
        assert sum(WEIGHTS[pair.match] for pair in pairs if pair.gold and pair.prediction) == similarity(left, right)
    for tree, values in ((left, [p.gold for p in pairs]), (right, [p.prediction for p in pairs])):
        present = [leaf.value for leaf in values if leaf is not None]
        everything = [pair.gold.value for pair in align(tree, None) if pair.gold]
        assert sorted(present) == sorted(everything)


@given(lines, lines, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_order_does_not_matter_and_swapping_swaps(gold: list[Any], prediction: list[Any], random: Any) -> None:
    def outcome(one: list[Any], other: list[Any]) -> list[tuple[Any, Any, Any]]:
        pairs = align(to_tree(one, LINES), to_tree(other, LINES))
        values = ((p.path.field, p.gold and p.gold.value, p.prediction and p.prediction.value) for p in pairs)
        return sorted(values, key=str)

    shuffled = [{**line, "tags": random.sample(line["tags"], len(line["tags"]))} for line in prediction]
    random.shuffle(shuffled)
    straight = outcome(gold, prediction)
    assert outcome(gold, shuffled) == straight
    assert sorted(((field, b, a) for field, a, b in outcome(prediction, gold)), key=str) == straight


def test_identical_items_are_paired_first_and_positions_are_kept() -> None:
    gold, prediction = to_tree(["x", "y"], TAGS), to_tree(["y", "z", "x"], TAGS)
    assert isinstance(gold, ListNode)
    assert isinstance(prediction, ListNode)
    pairs = [
        (pair.gold and pair.gold.index, pair.prediction and pair.prediction.index)
        for pair in pair_items(gold.items, prediction.items)
    ]
    assert pairs == [(0, 2), (1, 0), (None, 1)]


def test_exact_matches_weigh_more_than_normalised_ones() -> None:
    gold, prediction = to_tree(["x"], TAGS), to_tree(["X", "x"], TAGS)
    pairs = list(align(gold, prediction))
    assert [pair.match for pair in pairs] == [MatchLevel.EXACT, MatchLevel.DIFFERENT]


def test_different_kinds_of_value_do_not_answer_each_other() -> None:
    either = MergedSchema(scalar=True, strings=True, free_text=True, fields={"a": MergedField("a", TEXT)})
    pairs = list(align(to_tree("x", either), to_tree({"a": "x"}, either)))
    assert [(pair.path.field, pair.gold is None, pair.prediction is None) for pair in pairs] == [
        ((), False, True),
        (("a",), True, False),
    ]


def test_absent_is_null_missing_or_empty_but_not_an_empty_string() -> None:
    assert to_tree({"a": None, "tags": []}, LINE) is None
    assert to_tree([{"a": None}, {}], LINES) is None
    assert to_tree([None, []], MergedSchema(items=TAGS)) is None
    assert isinstance(to_tree({"a": ""}, LINE), MappingNode)


def test_one_place_more_decides_between_long_items() -> None:
    """Float64 could not hold the sum of `WEIGHTS` over so many values."""
    maps = MergedSchema(items=MergedSchema(entries=TEXT))
    shared = {f"key {index}": "same" for index in range(3000)}
    gold = to_tree([{**shared, "a": "1"}, {**shared, "b": "2"}], maps)
    prediction = to_tree([{**shared, "b": "3"}, {**shared, "c": "4"}], maps)
    pairs = list(align(gold, prediction))
    both = [pair.path.path for pair in pairs if pair.gold and pair.prediction and pair.match is MatchLevel.DIFFERENT]
    assert both == [("1", "b")]
    assert sum(pair.match is MatchLevel.EXACT for pair in pairs) == 6000
