"""Confidence of values and records: from token log-probabilities, calibrated on held-out records.

Knows completions, schemas and gold records; knows no model and no text.
"""

from __future__ import annotations

from extractft.confidence.calibration import Answers, Calibration
from extractft.confidence.token_confidence import Confidence, raw_confidence

__all__ = ["Answers", "Calibration", "Confidence", "raw_confidence"]
