"""Rows that hold a chat: the user's turn is the text, the assistant's turn the record. Knows no schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from extractft.data.raw_row import InvalidRow, RawExample
from extractft.data.strict_json import InvalidJson, parse_json, strip_thinking
from extractft.data.table_values import is_missing, to_jsonable

__all__ = ["CHAT_COLUMNS", "find_chat_column", "split_chat"]

CHAT_COLUMNS = ("messages", "conversations", "conversation")
ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
TEXT_PARTS = ("text", "input_text", "output_text")


def find_chat_column(names: Iterable[str]) -> str | None:
    """The column that holds chats, if there is one."""
    found = set(names)
    return next((name for name in CHAT_COLUMNS if name in found), None)


def split_chat(*turns: Any) -> RawExample:
    """The text of the only user turn and the answer of the only assistant turn; system turns are ignored.

    Args:
        *turns: Lists of turns (`role` and `content`, or `from` and `value`), one after another; or JSON of such lists.

    Raises:
        InvalidRow: There are other turns, or more of them, so that the text is ambiguous.
    """
    found = [turn for part in turns for turn in _turns(part)]
    spoken = [(role, turn) for turn in found if (role := _role(turn)) != "system"]
    if [role for role, _ in spoken] == ["user", "assistant"]:
        (_, question), (_, answer) = spoken
        reply = _content(answer)
        return RawExample(_content(question), strip_thinking(reply) if isinstance(reply, str) else reply)
    roles = [role for role, _ in spoken]
    if "user" in roles and "assistant" in roles:
        raise InvalidRow.one(
            "several_turns",
            f"expected one user turn and one assistant turn, found {len(roles)} turns (give each record a row of its "
            "own, with the whole conversation that it comes from as the text)",
        )
    raise InvalidRow.one("invalid_row", "expected a user turn and after it an assistant turn in the chat")


def _turns(part: Any) -> list[Mapping[str, Any]]:
    turns = to_jsonable(part)
    if isinstance(turns, str):
        try:
            turns = parse_json(turns)
        except InvalidJson as problem:
            raise InvalidRow.one("invalid_json", f"the chat: {problem}", value=turns) from problem
    if isinstance(turns, Mapping) and turns and all(isinstance(column, list) for column in turns.values()):
        turns = [dict(zip(turns, values, strict=False)) for values in zip(*turns.values(), strict=False)]
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise InvalidRow.one(
            "invalid_row", "expected the chat to be a list of turns with role and content", value=turns
        )
    return turns


def _role(turn: Mapping[str, Any]) -> str:
    role = turn.get("role", turn.get("from"))
    if turn.get("tool_calls"):
        return "tool call"
    return ROLES.get(role.strip().lower(), "other") if isinstance(role, str) else "other"


def _content(turn: Mapping[str, Any]) -> Any:
    """The text of a turn, written as a string or as parts."""
    content = turn.get("content", turn.get("value"))
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return content
    if any(part.get("type", "text") not in TEXT_PARTS for part in content):
        raise InvalidRow.one("invalid_text", "expected turns of text alone, found an image, a sound or the like")
    return "".join("" if is_missing(part.get("text")) else str(part["text"]) for part in content)
