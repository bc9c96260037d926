"""Calibrators: they bring confidences nearer to the truth, keep their order, and are sensible on next to nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extractft.errors import DatasetError
from extractft.evaluation import Calibrator, cross_fitted, expected_calibration_error, fit_calibrator
from extractft.evaluation.calibration_curves import Method

METHODS: tuple[Any, ...] = (*get_args(Method), "auto")
PROBABILITIES = st.floats(0, 1) | st.sampled_from([0.0, 1e-9, 0.5, 0.999999, 1.0])


def overconfident(
    records: int, values: int = 4, *, seed: int = 0
) -> tuple[list[float], list[bool], list[int], np.ndarray]:
    """What is stated has twice the log-odds of the truth."""
    rng = np.random.default_rng(seed)
    stated = rng.normal(3, 1.5, records * values)
    truth = 1 / (1 + np.exp(-stated / 2))
    correct = rng.random(len(truth)) < truth
    groups = np.repeat(np.arange(records), values)
    return (1 / (1 + np.exp(-stated))).tolist(), correct.tolist(), groups.tolist(), truth


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
@pytest.mark.parametrize(("records", "error"), [(20, 0.09), (400, 0.03)])
def test_confidences_come_nearer_to_the_truth(method: Any, records: int, error: float) -> None:
    unseen, correct, _, truth = overconfident(2000, seed=7)
    errors, gaps = [], []
    for seed in range(5):
        calibrator = fit_calibrator(*overconfident(records, seed=seed)[:3], method=method)
        calibrated = calibrator.apply_all(unseen)
        errors.append(np.abs(np.asarray(calibrated) - truth).mean())
        gaps.append(expected_calibration_error(calibrated, correct))
    assert np.mean(errors) < error < np.abs(np.asarray(unseen) - truth).mean()
    assert np.mean(gaps) < 0.8 * expected_calibration_error(unseen, correct)


def test_the_choice_follows_the_data() -> None:
    assert fit_calibrator(*overconfident(300)[:3]).method == "platt"
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.01, 0.99, 4000)
    stairs = np.where(raw < 0.5, 0.1, np.where(raw < 0.55, 0.5, 0.9))
    chosen = fit_calibrator(raw.tolist(), (rng.random(4000) < stairs).tolist())
    assert chosen.method == "isotonic"
    assert np.abs(np.asarray(chosen.apply_all(raw.tolist())) - stairs).mean() < 0.05
    honest = fit_calibrator(raw.tolist(), (rng.random(4000) < raw).tolist())
    assert honest.log_loss is not None
    assert np.abs(np.asarray(honest.apply_all(raw.tolist())) - raw).mean() < 0.02


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PROBABILITIES, st.booleans()), min_size=1, max_size=40),
    st.sampled_from(METHODS),
    st.lists(PROBABILITIES, min_size=2, max_size=10),
)
def test_order_and_bounds_hold_whatever_it_is_fitted_on(
    answers: list[tuple[float, bool]], method: Any, asked: list[float]
) -> None:
    calibrator = fit_calibrator([raw for raw, _ in answers], [right for _, right in answers], method=method)
    given_back = calibrator.apply_all(sorted(asked))
    assert given_back == sorted(given_back)
    assert all(0 < value < 1 for value in given_back)
    assert Calibrator.model_validate_json(calibrator.model_dump_json()) == calibrator


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_no_two_confidences_become_one(method: Any) -> None:
    calibrator = fit_calibrator(*overconfident(100)[:3], method=method)
    values = calibrator.apply_all([0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    assert all(low < high for low, high in pairwise(values))


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong_is_smoothed(method: Any, right: bool) -> None:
    raw, _, groups, _ = overconfident(20)
    calibrator = fit_calibrator(raw, [right] * 80, groups, method=method)
    values = calibrator.apply_all(raw)
    wanted = 81 / 82 if right else 1 / 82
    assert np.mean(values) == pytest.approx(wanted, abs=0.01)
    order = np.argsort(raw)
    assert (np.diff(np.asarray(values)[order]) > 0).all()
    few = fit_calibrator([0.99], [right], method=method)
    assert 0.2 < few.apply(0.99) < 0.8


def test_confidences_that_point_the_wrong_way_say_nothing() -> None:
    raw = np.linspace(0.05, 0.95, 200)
    correct = np.random.default_rng(0).random(200) < 1 - raw
    for method in ("platt", "isotonic"):
        calibrator = fit_calibrator(raw.tolist(), correct.tolist(), method=method)  # type: ignore[arg-type]
        assert calibrator.slope == 0
        assert calibrator.apply(0.1) == calibrator.apply(0.9) == pytest.approx(correct.mean(), abs=0.01)


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
def test_no_row_calibrates_itself(method: Any) -> None:
    """With few records each is a fold of its own: turning its answers round changes every value but its own."""
    raw, correct, groups, _ = overconfident(8)
    before = cross_fitted(raw, correct, groups, method=method)
    assert before == cross_fitted(raw, correct, groups, method=method)
    for record in (0, 5):
        mine = slice(4 * record, 4 * record + 4)
        turned = [not right if group == record else right for right, group in zip(correct, groups, strict=True)]
        after = cross_fitted(raw, turned, groups, method=method)
        assert before[mine] == after[mine]
        others = [(b, a) for b, a, group in zip(before, after, groups, strict=True) if group != record]
        assert all(b != a for b, a in others)


def test_cross_fitted_values_are_calibrated_and_those_seen_look_better() -> None:
    raw, correct, groups, _ = overconfident(40)
    out = np.asarray(cross_fitted(raw, correct, groups, method="isotonic"))
    seen = np.asarray(fit_calibrator(raw, correct, groups, method="isotonic").apply_all(raw))
    right = np.asarray(correct)

    def loss(values: np.ndarray) -> float:
        return float(-np.log(np.where(right, values, 1 - values)).mean())

    assert loss(seen) < loss(out) < loss(np.asarray(raw))
    with pytest.raises(DatasetError, match="two records"):
        cross_fitted([0.5, 0.6], [True, False], [1, 1])


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
def test_further_features_are_used_and_order_still_holds(method: Any) -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.5, 0.99, 2000)
    hint = rng.normal(50, 10, 2000)
    truth = 1 / (1 + np.exp(-(np.log(raw / (1 - raw)) + (hint - 50) / 5)))
    correct = (rng.random(2000) < truth).tolist()
    features = [[value, 1.0] for value in hint]
    calibrator = fit_calibrator(raw.tolist(), correct, features=features, method=method)
    assert np.abs(np.asarray(calibrator.apply_all(raw.tolist(), features)) - truth).mean() < 0.05
    assert calibrator.apply(0.9, [70, 1]) > calibrator.apply(0.6, [70, 1]) > calibrator.apply(0.6, [40, 1])
    assert len(cross_fitted(raw.tolist(), correct, features=features, method="platt")) == 2000
    with pytest.raises(ValueError, match="expected 2 features, found 0"):
        calibrator.apply(0.5)
    with pytest.raises(DatasetError, match="finite features"):
        fit_calibrator([0.5], [True], features=[[math.inf]])


def test_identity_leaves_confidences_alone() -> None:
    calibrator = Calibrator(method="identity")
    assert calibrator.apply_all([0.25, 0.5, 0.9]) == [0.25, 0.5, 0.9]
    assert 0.99999 < calibrator.apply(1.0) < 1
    for nonsense in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            calibrator.apply(nonsense)


@pytest.mark.parametrize(
    "broken",
    [
        {"method": "isotonic"},
        {"method": "platt", "knots": [[0, 0.5]]},
        {"method": "platt", "slope": -1},
        {"method": "platt", "slope": math.nan},
        {"method": "platt", "weights": [math.inf]},
        {"method": "isotonic", "knots": [[0, 0.5], [0, 0.6]]},
        {"method": "isotonic", "knots": [[0, 0.5], [1, 0.4]]},
        {"method": "isotonic", "knots": [[0, 0.5], [1, 1.0]]},
        {"method": "other"},
    ],
)
def test_a_broken_store_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Calibrator.model_validate(broken)


def test_applying_loads_no_scikit_learn() -> None:
    code = (
        "import sys; from extractft.evaluation import Calibrator; Calibrator(method='platt').apply(0.5); "
        "print([name for name in ('sklearn', 'scipy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
