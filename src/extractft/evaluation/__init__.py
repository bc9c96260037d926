"""The evaluation of predictions: scores field by field, calibration of confidences, and the report of it all.

Compares validated instances with gold instances; knows no model, no tokens and no torch. Names are loaded when they
are asked for: scikit-learn, which calibration is measured and fitted with, takes longer to import than all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.evaluation.calibration_curves import Calibrator
    from extractft.evaluation.calibration_metrics import expected_calibration_error, measure_calibration
    from extractft.evaluation.calibration_report import (
        CalibrationReport,
        CoveragePoint,
        ReliabilityBin,
        about_confidence,
    )
    from extractft.evaluation.curve_fitting import cross_fitted, fit_calibrator
    from extractft.evaluation.evaluate import evaluate_records, judge_record, score_records
    from extractft.evaluation.evaluation_report import Comparison, EvaluationReport
    from extractft.evaluation.learning_curve import LearningPoint, advice
    from extractft.evaluation.metrics import Confusion, Confusions, FieldScores
    from extractft.evaluation.results import Difference, Failure
    from extractft.evaluation.value_trees import normalize_string

_MODULES = {
    "CalibrationReport": "calibration_report",
    "Calibrator": "calibration_curves",
    "Comparison": "evaluation_report",
    "Confusion": "metrics",
    "Confusions": "metrics",
    "CoveragePoint": "calibration_report",
    "Difference": "results",
    "EvaluationReport": "evaluation_report",
    "Failure": "results",
    "FieldScores": "metrics",
    "LearningPoint": "learning_curve",
    "ReliabilityBin": "calibration_report",
    "about_confidence": "calibration_report",
    "advice": "learning_curve",
    "cross_fitted": "curve_fitting",
    "evaluate_records": "evaluate",
    "expected_calibration_error": "calibration_metrics",
    "fit_calibrator": "curve_fitting",
    "judge_record": "evaluate",
    "measure_calibration": "calibration_metrics",
    "normalize_string": "value_trees",
    "score_records": "evaluate",
}
"""The module of each public name."""

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

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
