"""Spans of values in their text, windows of a long text, and the merging of the windows' records.

Knows schemas, records and characters; knows no tokens, no model and no torch.
"""

from extractft.grounding.absence import absence_examples
from extractft.grounding.record_grounding import ground
from extractft.grounding.record_merging import MergedRecord, ValueSource, merge, merge_records, merge_spans
from extractft.grounding.spans import Span
from extractft.grounding.text_windows import Window, split_text
from extractft.grounding.window_targets import WindowTargets, window_targets

__all__ = [
    "MergedRecord",
    "Span",
    "ValueSource",
    "Window",
    "WindowTargets",
    "absence_examples",
    "ground",
    "merge",
    "merge_records",
    "merge_spans",
    "split_text",
    "window_targets",
]
