"""The three lines: fit, extract, save."""

from __future__ import annotations

from extractft.extractor.confidence import Confidence
from extractft.extractor.extractor import Extractor
from extractft.extractor.runner import Extraction

__all__ = ["Confidence", "Extraction", "Extractor"]
