"""Answers of servers, read no further than an honest one can be long; and words of theirs, fit to be shown.

A server may send more than this machine has memory for, or a few bytes that unpack to that. Knows bytes; knows no API.
"""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

__all__ = ["LONGEST_ANSWER", "AnswerTooLargeError", "parsed_json", "read_bounded", "shown_word"]

LONGEST_ANSWER = 16 << 20
"""Bytes of an answer that is no record: lists of models, settings, token ids."""
WORD = re.compile(r"[\w.+/-]{1,40}", re.ASCII)
"""Names of formats and reasons: too short and too plain to carry a text."""


class AnswerTooLargeError(Exception):
    """An answer that is longer than it may be, or packed; the message says what was expected and found."""


async def read_bounded(response: httpx.Response, longest: int, *, cut: bool = False) -> bytes:
    """Read the body of an answer that is being received.

    Args:
        response: The answer. It was asked for unpacked.
        longest: Most bytes.
        cut: Keep the first bytes of a longer one.

    Raises:
        AnswerTooLargeError: It is longer, or packed: a kilobyte may unpack to a megabyte.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise AnswerTooLargeError("as it is, found one that is compressed")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > longest:
            if cut:
                break
            raise AnswerTooLargeError(f"of at most {longest} bytes, found a longer one")
    return bytes(body[:longest])


def parsed_json(body: bytes) -> Any:
    """The JSON value of an answer.

    Raises:
        ValueError: It is none, or nested too deeply.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def shown_word(said: object, otherwise: str = "another one") -> str:
    """A name that a server gives, if it is one that can be shown: it may as well be a text that was sent there."""
    return said if isinstance(said, str) and WORD.fullmatch(said) else otherwise
