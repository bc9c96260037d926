"""Folders that the benchmarks read and write."""

from __future__ import annotations

import os
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
EXAMPLES = ROOT / "examples"
RESULTS = BENCHMARKS / "results"
CACHE = BENCHMARKS / ".cache"
DATA = CACHE / "data"
QWEN3_TOKENIZER = Path(os.environ.get("EXTRACTFT_QWEN3_TOKENIZER", ROOT / ".cache" / "qwen3-tokenizer"))
