"""The three lines: fit, extract, save."""

from __future__ import annotations

from extractft.confidence.token_confidence import Confidence
from extractft.extractor.extraction import Extraction, WindowExtraction
from extractft.extractor.extractor import Extractor
from extractft.extractor.learning_curve_fits import learning_curve

__all__ = ["Confidence", "Extraction", "Extractor", "WindowExtraction", "learning_curve"]
