"""Examples: loaded, checked and split. Knows the schema and no tokens.

Names are loaded when they are asked for: the help of the command line needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.data.check_report import CheckReport, FieldSummary, Finding
    from extractft.data.example import Example
    from extractft.data.example_checks import check_examples
    from extractft.data.example_loader import DataFiles, LoadedExamples, load_examples, load_numbered_examples
    from extractft.data.held_out_rule import HeldOutRule
    from extractft.data.held_out_split import split_examples, text_key
    from extractft.data.merged_rows import MergeConflict, MergedRows, merge_rows
    from extractft.data.text_reader import iter_text_rows, iter_texts, write_jsonl

_MODULES = {
    "CheckReport": "check_report",
    "DataFiles": "example_loader",
    "Example": "example",
    "FieldSummary": "check_report",
    "Finding": "check_report",
    "HeldOutRule": "held_out_rule",
    "LoadedExamples": "example_loader",
    "MergeConflict": "merged_rows",
    "MergedRows": "merged_rows",
    "check_examples": "example_checks",
    "iter_text_rows": "text_reader",
    "iter_texts": "text_reader",
    "load_examples": "example_loader",
    "load_numbered_examples": "example_loader",
    "merge_rows": "merged_rows",
    "split_examples": "held_out_split",
    "text_key": "held_out_split",
    "write_jsonl": "text_reader",
}
"""The module of each public name."""

__all__ = [
    "CheckReport",
    "DataFiles",
    "Example",
    "FieldSummary",
    "Finding",
    "HeldOutRule",
    "LoadedExamples",
    "MergeConflict",
    "MergedRows",
    "check_examples",
    "iter_text_rows",
    "iter_texts",
    "load_examples",
    "load_numbered_examples",
    "merge_rows",
    "split_examples",
    "text_key",
    "write_jsonl",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
