"""The JSONL of batch APIs as OpenAI has it: requests with a `custom_id` in, responses and errors out.

Knows the form of the lines; knows no files and no extractor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

__all__ = ["CUSTOM_ID", "batch_error", "batch_response", "request_text"]

CUSTOM_ID = "custom_id"


def request_text(line: Any) -> tuple[str | None, str]:
    """The text of a request, which is what its last user message says, and else why there is none."""
    body = line.get("body") if isinstance(line, Mapping) else None
    if not isinstance(body, Mapping):
        return None, "expected a request with custom_id and body, found something else"
    if isinstance(body.get("input"), str):
        return body["input"], ""
    messages = body.get("messages") or body.get("input")
    if not isinstance(messages, list):
        return None, "expected messages in the body of the request, found none"
    texts = [
        _content(message) for message in messages if isinstance(message, Mapping) and message.get("role") == "user"
    ]
    if not texts or texts[-1] is None:
        return None, "expected a message of the user with a text, found none"
    return texts[-1], ""


def _content(message: Mapping[str, Any]) -> str | None:
    """The text of a message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str)) if texts else None


def batch_response(custom_id: str, content: str, *, model: str, tokens: int) -> dict[str, Any]:
    """The line for a record.

    Args:
        custom_id: The name of the request.
        content: The record as JSON text.
        model: The name of the extractor.
        tokens: Tokens of the record.
    """
    name = _request_id(custom_id)
    body = {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "created": 0,  # a clock would make two runs of one input differ
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": tokens},
    }
    response = {"status_code": 200, "request_id": name, "body": body}
    return {"id": f"batch_req_{name}", CUSTOM_ID: custom_id, "response": response, "error": None}


def batch_error(custom_id: str, error: str, message: str) -> dict[str, Any]:
    """The line for a request that failed."""
    found = {"code": error, "message": message}
    return {"id": f"batch_req_{_request_id(custom_id)}", CUSTOM_ID: custom_id, "response": None, "error": found}


def _request_id(custom_id: str) -> str:
    return hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
