"""The three lines: fit, extract, save."""

from __future__ import annotations

from extractft.extractor.confidence import Confidence
from extractft.extractor.extraction import Extraction
from extractft.extractor.extractor import Extractor

__all__ = ["Confidence", "Extraction", "Extractor"]
