"""Measures of calibration: against numbers computed by hand, against the obvious slow way, against known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.errors import DatasetError
from extractft.evaluation import CalibrationReport, expected_calibration_error, measure_calibration

ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 0.99, 1.0]) | st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=60,
)


def split(answers: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [confidence for confidence, _ in answers], [right for _, right in answers]


def simulated(
    records: int, values: int, *, over: float, seed: int
) -> tuple[list[float], list[bool], list[int], list[float]]:
    """Answers whose log-odds are stated `over` times too large; three in ten of a record go right or wrong together."""
    rng = np.random.default_rng(seed)
    n = records * values
    stated = rng.normal(2.5, 1.5, n)
    truth = 1 / (1 + np.exp(-stated / over))
    own, shared = rng.random(n), np.repeat(rng.random(records), values)
    luck = np.where(rng.random(n) < 0.3, shared, own)
    groups = np.repeat(np.arange(records), values)
    return (1 / (1 + np.exp(-stated))).tolist(), (luck < truth).tolist(), groups.tolist(), truth.tolist()


def test_by_hand() -> None:
    confidences = [0.9, 0.6, 0.8, 0.7]
    correct = [True, False, True, True]
    report = measure_calibration(confidences, correct, bins=2)
    assert [(b.count, b.confidence, b.accuracy) for b in report.bins] == [
        (2, pytest.approx(0.65), 0.5),
        (2, pytest.approx(0.85), 1.0),
    ]
    assert report.ece == pytest.approx(0.15) == expected_calibration_error(confidences, correct, bins=2)
    assert report.brier == pytest.approx((0.01 + 0.36 + 0.04 + 0.09) / 4)
    assert (report.count, report.groups, report.accuracy, report.confidence) == (4, 4, 0.75, pytest.approx(0.75))
    assert report.auroc == 1
    assert [(p.coverage, p.accuracy, p.threshold) for p in report.curve] == [
        (0.25, 1, 0.9),
        (0.5, 1, 0.8),
        (0.75, 1, 0.7),
        (1, 0.75, 0.6),
    ]
    assert report.aurc == pytest.approx(0.25 / 4)
    assert report.accuracy_at(0.5) == report.accuracy_at(0.75) == 1
    assert report.accuracy_at(0.9) == pytest.approx((3 + 0) / 3.6)
    assert (report.threshold_at(0.75), report.threshold_at(0.76), report.threshold_at(1)) == (0.7, 0.6, 0.6)


def test_equal_confidences_share_a_bin_and_prefer_no_answer() -> None:
    confidences, correct = [0.5] * 10 + [1.0] * 30, [False] * 5 + [True] * 35
    report = measure_calibration(confidences, correct, bins=15)
    assert [b.count for b in report.bins] == [10, 30]
    backwards = measure_calibration(confidences[::-1], correct[::-1], bins=15)
    assert backwards.bins == report.bins
    assert backwards.curve == report.curve
    half = measure_calibration([0.7] * 4, [True, True, False, False])
    assert [point.accuracy for point in half.curve] == [0.5] * 4
    assert half.auroc == 0.5


@settings(max_examples=150, deadline=None)
@given(ANSWERS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_bounds_and_order_do_not_depend_on_the_order_of_answers(
    answers: list[tuple[float, bool]], bins: int, random: object
) -> None:
    report = measure_calibration(*split(answers), bins=bins, resamples=50)
    assert sum(b.count for b in report.bins) == report.count == len(answers)
    assert len(report.bins) <= bins
    low, high = report.ece_interval
    assert 0 <= low <= report.ece + 1e-12
    assert report.ece - 1e-12 <= high <= 1
    assert all(b.interval[0] - 1e-9 <= b.accuracy <= b.interval[1] + 1e-9 for b in report.bins)
    for number in (report.accuracy, report.confidence, report.brier, report.aurc, report.ece_by_chance):
        assert -1e-12 <= number <= 1 + 1e-12
    assert report.curve[-1].coverage == 1
    assert report.accuracy_at(1) == pytest.approx(report.accuracy)
    random.shuffle(answers)  # type: ignore[attr-defined]
    again = measure_calibration(*split(answers), bins=bins, resamples=50)
    assert again.ece == pytest.approx(report.ece)
    assert again.aurc == pytest.approx(report.aurc)
    assert again.auroc == pytest.approx(report.auroc)


@settings(max_examples=100, deadline=None)
@given(ANSWERS)
def test_auroc_is_the_share_of_pairs_in_the_right_order(answers: list[tuple[float, bool]]) -> None:
    good = [confidence for confidence, right in answers if right]
    bad = [confidence for confidence, right in answers if not right]
    pairs = [1.0 if g > b else 0.5 if g == b else 0.0 for g in good for b in bad]
    found = measure_calibration(*split(answers), resamples=2).auroc
    assert found == (pytest.approx(math.fsum(pairs) / len(pairs)) if pairs else None)


def test_many_answers_keep_a_short_curve() -> None:
    confidences, correct, _, _ = simulated(3000, 1, over=2, seed=0)
    report = measure_calibration(confidences, correct, resamples=20)
    assert len(report.curve) == 200
    order = sorted(range(3000), key=lambda i: -confidences[i])
    for coverage in (0.1, 0.5, 0.9):
        kept = order[: round(3000 * coverage)]
        assert report.accuracy_at(coverage) == pytest.approx(sum(correct[i] for i in kept) / len(kept), abs=1e-9)
        assert report.threshold_at(coverage) == pytest.approx(min(confidences[i] for i in kept), abs=1e-9)
    assert report.accuracy_at(0.5) > report.accuracy_at(0.9) > report.accuracy
    assert len(report.model_dump_json()) < 30_000


@pytest.mark.parametrize(("over", "at_least"), [(1.0, 88), (2.0, 85)])
def test_intervals_hold_the_truth(over: float, at_least: int) -> None:
    """Of a hundred samples of 100 records with 4 values each; a fair share around 95 is more than luck allows to ask."""
    confidences, _, _, truth = simulated(100_000, 4, over=over, seed=99)
    order = np.argsort(confidences)
    true_error = np.mean(
        [abs(np.mean(np.asarray(confidences)[o] - np.asarray(truth)[o])) for o in np.array_split(order, 15)]
    )
    held = chance = 0.0
    for seed in range(100):
        stated, correct, groups, _ = simulated(100, 4, over=over, seed=seed)
        report = measure_calibration(stated, correct, groups=groups, resamples=200)
        held += report.ece_interval[0] <= true_error <= report.ece_interval[1]
        chance += report.ece_by_chance / 100
        if over == 1:
            assert report.ece < 4 * report.ece_by_chance
    assert held >= at_least
    assert 0.02 < chance < 0.08


def test_groups_widen_the_interval_of_answers_that_hang_together() -> None:
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(60) < 0.7, 10).tolist()
    confidences = np.repeat(rng.uniform(0.85, 0.95, 60), 10).tolist()
    alone = measure_calibration(confidences, right, bins=1)
    together = measure_calibration(confidences, right, bins=1, groups=[f"record {i // 10}" for i in range(600)])
    assert (together.groups, alone.groups) == (60, 600)
    width, narrow = (high - low for low, high in (together.ece_interval, alone.ece_interval))
    assert width > 2 * narrow


def test_it_survives_json_and_prints() -> None:
    confidences, correct, groups, _ = simulated(30, 3, over=2, seed=1)
    report = measure_calibration(confidences, correct, groups=groups)
    assert CalibrationReport.model_validate_json(report.model_dump_json()) == report
    assert report == measure_calibration(confidences, correct, groups=groups)
    lines = str(report).splitlines()
    assert lines[0].split() == ["answers", "90", "of", "30", "records"]
    assert any(line.startswith("calibration error") for line in lines)
    assert len(lines) == 7 + 1 + 2 + len(report.bins)
    perfect = measure_calibration([0.9], [True])
    assert perfect.auroc is None
    assert "–" in str(perfect)


def test_nonsense_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least one"):
        measure_calibration([], [])
    with pytest.raises(DatasetError, match="as many confidences"):
        measure_calibration([0.5], [True, False])
    with pytest.raises(DatasetError, match="as many groups"):
        measure_calibration([0.5], [True], groups=[1, 2])
    with pytest.raises(DatasetError, match="at least one bin"):
        expected_calibration_error([0.5], [True], bins=0)
    for nonsense in (1.5, -0.1, math.nan, math.inf):
        with pytest.raises(DatasetError, match="between 0 and 1"):
            expected_calibration_error([0.5, nonsense], [True, True])
    report = measure_calibration([0.5], [True])
    for coverage in (0, 1.1, math.nan):
        with pytest.raises(ValueError, match="coverage"):
            report.accuracy_at(coverage)
