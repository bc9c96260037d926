"""Rows as training data of language models: OpenAI's chats, ShareGPT's conversations, Alpaca's instructions.

The record is written as the model should write it, in canonical form. `extractft.data` reads all of them. Knows prompts
and records, no files.
"""

from __future__ import annotations

import json
from typing import Any

from extractft.config import PromptConfig
from extractft.interchange.labelled_row import LabelledRow
from extractft.prompt import render_system_prompt
from extractft.schema import Schema

__all__ = ["ChatWriter"]


class ChatWriter:
    """Writes rows with the system prompt of a schema.

    Args:
        schema: The schema of the records.
        prompt: Language, template and further instructions.
    """

    def __init__(self, schema: Schema[Any], prompt: PromptConfig | None = None) -> None:
        self._system = render_system_prompt(schema, prompt or PromptConfig())

    def openai(self, row: LabelledRow) -> dict[str, Any]:
        """A line of a file for fine-tuning: messages, and nothing else, which the service would refuse."""
        turns = (("system", self._system), ("user", row.text), ("assistant", _answer(row)))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    def sharegpt(self, row: LabelledRow) -> dict[str, Any]:
        """A conversation, with the name of the row."""
        turns = (("system", self._system), ("human", row.text), ("gpt", _answer(row)))
        conversation = [{"from": role, "value": content} for role, content in turns]
        return ({} if row.id is None else {"id": row.id}) | {"conversations": conversation}

    def alpaca(self, row: LabelledRow) -> dict[str, Any]:
        """An instruction, which is the system prompt, with the text as its input."""
        return {"instruction": self._system, "input": row.text, "output": _answer(row)}


def _answer(row: LabelledRow) -> str:
    """The record as JSON; one that is a text as it stands, as the reader of such rows takes it."""
    if isinstance(row.record, str):
        return row.record
    return json.dumps(row.record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
