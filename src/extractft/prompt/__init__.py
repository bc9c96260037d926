"""What the model is told: the system prompt written from a schema, and the chat around a text.

Knows schemas and tokenizers (through a small protocol). Knows no model and no torch.
"""

from __future__ import annotations

from extractft.prompt.chat import ChatRenderer, ChatTokenizer
from extractft.prompt.normalize import NormalizedText, Replacement, normalize_text

__all__ = ["ChatRenderer", "ChatTokenizer", "NormalizedText", "Replacement", "normalize_text"]
