"""The prompt: the system prompt written from a schema, and the chat around a text.

Knows schemas and tokenizers (through a small protocol). Knows no model and no torch.
"""

from __future__ import annotations

from extractft.prompt.chat_renderer import ChatFrame, ChatRenderer, ChatTokenizer, EncodedText
from extractft.prompt.language_detection import detect_language
from extractft.prompt.system_prompt import render_system_prompt
from extractft.text import NormalizedText, Replacement, is_blank, normalize_text

__all__ = [
    "ChatFrame",
    "ChatRenderer",
    "ChatTokenizer",
    "EncodedText",
    "NormalizedText",
    "Replacement",
    "detect_language",
    "is_blank",
    "normalize_text",
    "render_system_prompt",
]
