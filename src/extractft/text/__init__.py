"""Texts and what is in them: Unicode, clusters, folding, scanners, and the one answer to "is this value in this text".

Knows characters and values; knows no schema, no record and no tokens.
"""

from extractft.text.equality import Occurrence, Rung, lowest_rung
from extractft.text.graphemes import Clusters
from extractft.text.indexed_text import IndexedText
from extractft.text.nfc import NormalizedText, Replacement, is_blank, normal_form, normalize_text
from extractft.text.occurrence_search import occurrences
from extractft.text.search_budget import SearchBudget
from extractft.text.word_boundaries import cuts_word

__all__ = [
    "Clusters",
    "IndexedText",
    "NormalizedText",
    "Occurrence",
    "Replacement",
    "Rung",
    "SearchBudget",
    "cuts_word",
    "is_blank",
    "lowest_rung",
    "normal_form",
    "normalize_text",
    "occurrences",
]
