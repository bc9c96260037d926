"""Documents as text, with a map from the text back to page, cell, paragraph or line.

Knows files and their libraries; knows no schema and no model.
"""

from __future__ import annotations

from extractft.documents.document import Document, DocumentPart, DocumentPlace
from extractft.documents.document_files import DOCUMENT_ENDINGS, find_documents, left_aside, read_document

__all__ = [
    "DOCUMENT_ENDINGS",
    "Document",
    "DocumentPart",
    "DocumentPlace",
    "find_documents",
    "left_aside",
    "read_document",
]
