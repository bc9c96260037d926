"""The coordinates of a plot's marks. Knows numbers and coordinates; knows no markup and no colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from extractft.evaluation.calibration_report import CalibrationReport
from extractft.evaluation.console_tables import number, plural
from extractft.evaluation.learning_curve import LearningPoint

__all__ = ["Plot", "counted", "coverage_plot", "learning_plot", "reliability_plot"]

WIDTH, HEIGHT = 360.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 14.0, 46.0
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
TICKS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured point, with the interval around it if there is one, and the words for both."""

    x: float
    y: float
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ReferenceLine:
    """The dashed line, from its left end to its right one."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(slots=True)
class Plot:
    """A plot in pixels of a `width` x `height` picture, y downwards.

    Attributes:
        title: Its title.
        description: The same for those who cannot see it, with the main numbers.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        x_ticks: Marks on the horizontal axis.
        y_ticks: Marks on the vertical axis.
        line: Corners of the curve as an SVG list of points.
        guide: The dashed line of reference.
        dots: Measured points.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    line: str
    guide: ReferenceLine | None = None
    dots: list[Dot] = field(default_factory=list)
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps numbers from `low` to `high` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (min(self.high, max(self.low, value)) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def _ratio_axes(low: float, x_low: float | None = None) -> tuple[_Axis, _Axis]:
    x = _Axis(low if x_low is None else x_low, 1.0, LEFT, WIDTH - RIGHT)
    return x, _Axis(low, 1.0, HEIGHT - BOTTOM, TOP)


def _floor(values: Iterable[float]) -> float:
    """A round number below all values, that leaves room for a readable axis."""
    return max(0.0, min(0.8, math.floor((min(values) - 0.02) * 10) / 10))


def _ratio_ticks(axis: _Axis) -> list[Tick]:
    step = next((step for step in STEPS if (axis.high - axis.low) / step <= TICKS), STEPS[-1])
    count = round((axis.high - axis.low) / step)
    values = [axis.high - index * step for index in range(count + 1)]
    return [Tick(axis.at(value), f"{abs(value):.{1 if step >= 0.1 else 2}f}") for value in values[::-1]]


def _points(x: _Axis, y: _Axis, points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x.at(a)},{y.at(b)}" for a, b in points)


def counted(count: int, what: str) -> str:
    """A count of something that is named in the plural, as a person says it."""
    return plural(count, what.removesuffix("s"))


def reliability_plot(report: CalibrationReport, what: str) -> Plot:
    """Accuracy against confidence, bin by bin; on the dashed line both are the same."""
    low = _floor(value for b in report.bins for value in (b.confidence, b.accuracy))
    x, y = _ratio_axes(low)
    dots = [
        Dot(
            x=x.at(b.confidence),
            y=y.at(b.accuracy),
            low=y.at(b.interval[0]),
            high=y.at(b.interval[1]),
            label=f"{counted(b.count, what)} of confidence {number(b.confidence)}: share right {number(b.accuracy)} "
            f"(95 % interval {b.interval[0]:.3f} to {b.interval[1]:.3f})",
        )
        for b in report.bins
    ]
    return Plot(
        title="Is a confidence of 0.9 right nine times in ten?",
        description=f"Accuracy against confidence of {counted(report.count, what)}, "
        f"in {plural(len(report.bins), 'bin')}. Expected calibration error {number(report.ece)}.",
        x_label="confidence",
        y_label="share that is right",
        x_ticks=_ratio_ticks(x),
        y_ticks=_ratio_ticks(y),
        line=_points(x, y, ((b.confidence, b.accuracy) for b in report.bins)),
        guide=ReferenceLine(x.at(low), y.at(low), x.at(1), y.at(1)),
        dots=dots,
    )


def coverage_plot(report: CalibrationReport, what: str) -> Plot:
    """Accuracy of the most confident answers against how many are kept; the dashed line keeps all."""
    x, y = _ratio_axes(_floor(point.accuracy for point in report.curve), x_low=0.0)
    marked = report.accuracy_at(0.9)
    label = f"the surest 90 % of the {what}: share right {number(marked)}, of all {number(report.accuracy)}"
    return Plot(
        title="What is gained by reviewing the least sure?",
        description=f"Accuracy against coverage of {counted(report.count, what)}. Of {label}.",
        x_label="coverage: share that is kept",
        y_label="share of those that is right",
        x_ticks=_ratio_ticks(x),
        y_ticks=_ratio_ticks(y),
        line=_points(x, y, ((point.coverage, point.accuracy) for point in report.curve)),
        guide=ReferenceLine(x.at(0), y.at(report.accuracy), x.at(1), y.at(report.accuracy)),
        dots=[Dot(x.at(0.9), y.at(marked), label)],
    )


def learning_plot(points: Sequence[LearningPoint]) -> Plot:
    """Field F1 against training rows."""
    curve = sorted(points, key=lambda point: point.rows)
    y = _Axis(_floor(point.interval[0] for point in curve), 1.0, HEIGHT - BOTTOM, TOP)
    x = _Axis(0.0, curve[-1].rows * 1.05, LEFT, WIDTH - RIGHT)
    dots = [
        Dot(
            x=x.at(point.rows),
            y=y.at(point.field_f1),
            low=y.at(point.interval[0]),
            high=y.at(point.interval[1]),
            label=f"{plural(point.rows, 'row')}: field F1 {number(point.field_f1)} "
            f"(95 % interval {point.interval[0]:.3f} to {point.interval[1]:.3f})",
        )
        for point in curve
    ]
    return Plot(
        title="Field F1 against training rows",
        description="; ".join(dot.label for dot in dots) + ".",
        x_label="training rows",
        y_label="field F1",
        x_ticks=[Tick(x.at(point.rows), str(point.rows)) for point in curve],
        y_ticks=_ratio_ticks(y),
        line=_points(x, y, ((point.rows, point.field_f1) for point in curve)),
        dots=dots,
    )
