"""The three lines: fit, extract, save."""

from __future__ import annotations

from extractft.extractor.extractor import Extractor
from extractft.extractor.runner import Extraction

__all__ = ["Extraction", "Extractor"]
