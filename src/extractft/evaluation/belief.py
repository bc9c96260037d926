"""Can confidences be believed? Yes, no, or too few records to tell. Knows what was measured; knows no layout."""

from __future__ import annotations

import math

from extractft.evaluation.calibration import CalibrationReport
from extractft.evaluation.tables import plural

__all__ = ["about_confidence"]

BELIEVABLE = 0.05
"""A calibration error that does no harm: a confidence of 0.9 is then right in 85 to 95 of 100 cases."""
FEWEST = round(3 / BELIEVABLE)
"""Records that it takes to say so: of fewer, all may be right although more than one in twenty is wrong (the rule of
three, Hanley & Lippman-Hand, 1983), which no drawing from these records can show."""
FEWEST_FOR_DOUBT = 10
"""Records that it takes to say that confidences are off; intervals drawn from fewer records mean nothing."""


def about_confidence(report: CalibrationReport, what: str = "values") -> str:
    """Say in a sentence or two if confidences can be believed.

    Args:
        report: What was measured.
        what: What the confidences are of, in the plural.
    """
    low, high = report.ece_interval
    if not all(map(math.isfinite, (report.ece, low, high))):
        return f"It is not known how far confidences of {what} can be believed."
    off = f"off by {_points(report.ece)} on average"
    if low < high:
        off += f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    if report.groups >= FEWEST and high <= BELIEVABLE:
        return f"Confidences of {what} can be believed: they are {off}."
    if report.groups >= FEWEST_FOR_DOUBT and low > 0:
        return f"Confidences of {what} are {off}, {_direction(report)}."
    records = f"{plural(report.groups, 'record')} {'is' if report.groups == 1 else 'are'}"
    chance = f"chance alone would show about {_points(report.ece_by_chance)}"
    return f"{records} too few to tell if confidences of {what} can be believed: here they are {off}, and {chance}."


def _points(ratio: float) -> str:
    points = f"{100 * ratio:.1f}"
    return f"{points} point" if points == "1.0" else f"{points} points"


def _direction(report: CalibrationReport) -> str:
    """Too high or too low, if most of the error is on one side."""
    excess = report.confidence - report.accuracy
    if abs(excess) <= report.ece / 2:
        return "some too high and some too low"
    return f"too {'high' if excess > 0 else 'low'} as a rule"
