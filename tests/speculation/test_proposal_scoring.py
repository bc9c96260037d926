"""What features are worth: learned from proposals that were right and wrong."""

from __future__ import annotations

import math

import pytest

from extractft.speculation.proposal_scoring import AcceptanceModel


def test_without_experience_a_chance_is_the_estimate() -> None:
    acceptance = AcceptanceModel()
    assert acceptance.probability(0.3, [1, 2, 3]) == pytest.approx(0.3)
    assert acceptance.probability(0.3, []) == pytest.approx(0.3)


def test_a_clue_that_tells_moves_the_chance_and_others_do_not() -> None:
    acceptance = AcceptanceModel()
    for _ in range(20):
        for feature, right in ((1, True), (2, False)):
            acceptance.observe(acceptance.probability(0.5, [feature, 3]), [feature, 3], right)
    assert acceptance.probability(0.5, [1]) > 0.9
    assert acceptance.probability(0.5, [2]) < 0.1
    assert acceptance.probability(0.5, [3]) == pytest.approx(0.5, abs=0.1)
    assert acceptance.probability(0.5, [4]) == pytest.approx(0.5)


def test_a_chance_is_learned_as_it_is() -> None:
    acceptance = AcceptanceModel()
    seen = []
    for turn in range(2000):
        seen.append(acceptance.probability(0.5, [7]))
        acceptance.observe(seen[-1], [7], turn % 4 == 0)
    assert sum(seen[1000:]) / 1000 == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("estimate", [0.0, 1.0, 1e-300])
def test_no_estimate_is_beyond_doubt(estimate: float) -> None:
    probability = AcceptanceModel().probability(estimate, [])
    assert 0 < probability < 1
    assert math.isfinite(probability)


def test_negative_hashes_are_clues_too() -> None:
    acceptance = AcceptanceModel()
    acceptance.observe(0.5, [-1], True)
    assert acceptance.probability(0.5, [-1]) > 0.5


def test_a_guess_moves_as_far_by_many_clues_as_by_few() -> None:
    few, many = AcceptanceModel(), AcceptanceModel()
    few.observe(0.5, [1, 2], True)
    many.observe(0.5, list(range(50)), True)
    assert many.probability(0.5, range(50)) == pytest.approx(few.probability(0.5, [1, 2]))


def test_what_changes_after_long_is_soon_learned_anew() -> None:
    acceptance = AcceptanceModel()
    for turn in range(30_000):
        acceptance.observe(acceptance.probability(0.5, [7]), [7], turn % 10 != 0)
    assert acceptance.probability(0.5, [7]) > 0.8
    for _ in range(12):
        acceptance.observe(acceptance.probability(0.5, [7]), [7], False)
    assert acceptance.probability(0.5, [7]) < 0.5
