"""First labels from a model in the house, and which rows a person should label next.

Knows extractors by `inspect_many` and servers by their chat completions; knows no tensors. Names are loaded when they
are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.labelling.first_labels import LabelledFiles, label_texts, run_directory
    from extractft.labelling.row_choice import choose_rows
    from extractft.labelling.teacher import Teacher, TeacherConfig

_MODULES = {
    "LabelledFiles": "first_labels",
    "Teacher": "teacher",
    "TeacherConfig": "teacher",
    "choose_rows": "row_choice",
    "label_texts": "first_labels",
    "run_directory": "first_labels",
}
"""The module of each public name."""

__all__ = ["LabelledFiles", "Teacher", "TeacherConfig", "choose_rows", "label_texts", "run_directory"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
