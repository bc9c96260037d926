"""Examples: loaded, checked and split. Knows the schema and no tokens."""

from extractft.data.check_report import CheckReport, FieldSummary, Finding
from extractft.data.example import Example
from extractft.data.example_checks import check_examples
from extractft.data.example_loader import DataFiles, LoadedExamples, load_examples, load_numbered_examples
from extractft.data.held_out_rule import HeldOutRule
from extractft.data.held_out_split import split_examples, text_key
from extractft.data.merged_rows import MergeConflict, MergedRows, merge_rows
from extractft.data.text_reader import iter_text_rows, iter_texts, write_jsonl

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
