"""Rows for other programs, and back from them: annotation tools, and training data of language models.

Knows schemas, records and places; knows no model and no tokens.
"""

from __future__ import annotations

from extractft.interchange.label_studio_export import row_of_task
from extractft.interchange.label_studio_tasks import label_studio_task
from extractft.interchange.labelled_row import LabelledRow
from extractft.interchange.row_conversion import (
    FORMATS,
    FormatName,
    InterchangeOptions,
    ReadRows,
    WrittenRows,
    labels_of,
    read_rows,
    rows_content,
    write_rows,
)
from extractft.interchange.studio_config import labeling_config

__all__ = [
    "FORMATS",
    "FormatName",
    "InterchangeOptions",
    "LabelledRow",
    "ReadRows",
    "WrittenRows",
    "label_studio_task",
    "labeling_config",
    "labels_of",
    "read_rows",
    "row_of_task",
    "rows_content",
    "write_rows",
]
