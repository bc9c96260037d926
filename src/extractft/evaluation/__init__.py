"""How good predictions are: scores field by field, and the report of them.

Compares validated instances with gold instances; knows no model, no tokens and no torch.
"""

from __future__ import annotations

from extractft.evaluation.counting import Failure
from extractft.evaluation.evaluate import evaluate_records, score_records
from extractft.evaluation.matching import normalize_string
from extractft.evaluation.report import Comparison, Difference, EvaluationReport
from extractft.evaluation.scores import FieldScores

__all__ = [
    "Comparison",
    "Difference",
    "EvaluationReport",
    "Failure",
    "FieldScores",
    "evaluate_records",
    "normalize_string",
    "score_records",
]
