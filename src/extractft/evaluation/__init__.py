"""How good predictions are: scores field by field, how far confidences can be believed, and the report of it all.

Compares validated instances with gold instances; knows no model, no tokens and no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from extractft.evaluation.belief import about_confidence
from extractft.evaluation.calibration import (
    CalibrationReport,
    CoveragePoint,
    ReliabilityBin,
    expected_calibration_error,
    measure_calibration,
)
from extractft.evaluation.calibrators import Calibrator
from extractft.evaluation.confusions import Confusion, Confusions
from extractft.evaluation.counting import Failure
from extractft.evaluation.evaluate import evaluate_records, score_records
from extractft.evaluation.judging import judge_record
from extractft.evaluation.learning import LearningPoint, advice
from extractft.evaluation.matching import normalize_string
from extractft.evaluation.report import Comparison, EvaluationReport
from extractft.evaluation.results import Difference
from extractft.evaluation.scores import FieldScores

if TYPE_CHECKING:
    from extractft.evaluation.fitting import cross_fitted, fit_calibrator

__all__ = [
    "CalibrationReport",
    "Calibrator",
    "Comparison",
    "Confusion",
    "Confusions",
    "CoveragePoint",
    "Difference",
    "EvaluationReport",
    "Failure",
    "FieldScores",
    "LearningPoint",
    "ReliabilityBin",
    "about_confidence",
    "advice",
    "cross_fitted",
    "evaluate_records",
    "expected_calibration_error",
    "fit_calibrator",
    "judge_record",
    "measure_calibration",
    "normalize_string",
    "score_records",
]


def __getattr__(name: str) -> Any:
    """Fitting alone needs scikit-learn, which takes longer to import than all the rest."""
    if name in ("cross_fitted", "fit_calibrator"):
        return getattr(importlib.import_module("extractft.evaluation.fitting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
