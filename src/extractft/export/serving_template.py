"""The chat template that an export carries: any server that renders it gives the model the prompt it was trained on.

Thinking is off, a date in the template stands still, and the system prompt is there when a request has none. Checked
against the renderer before it is used. Knows templates and strings, no tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from extractft.errors import ArtifactError
from extractft.prompt import ChatFrame, ChatRenderer
from extractft.prompt.chat_renderer import FIXED_DATE

__all__ = ["modelfile", "serving_template"]

PROBE = "Expected text"
FIXED_SETTINGS = ("{%- set enable_thinking = false -%}", "{%- set thinking = false -%}")


def serving_template(tokenizer: Any, chat: ChatRenderer) -> str:
    """A Jinja chat template that renders a user's text exactly as the extractor does.

    The base model's own template with its settings fixed comes first: it takes whole conversations. Where it does not
    give the prompt that the extractor was trained on, a plain template of that prompt does.
    """
    own = tokenizer.chat_template
    candidates = [] if not isinstance(own, str) else list(_pinned(own, chat.system_prompt))
    candidates.append(_plain(chat.frame, chat.system_prompt))
    for template in candidates:
        if all(_renders(tokenizer, template, chat, given) for given in (False, True)):
            return template
    raise ArtifactError("Expected a chat template that renders the extractor's prompt, found none that does.").hint(
        "Send token ids, or the prompt as `extractor.render` writes it."
    )


def _pinned(own: str, system_prompt: str) -> Iterator[str]:
    """The template with thinking off and the system prompt by default; with a system role, then without."""
    date = FIXED_DATE if "strftime_now" in own else ""
    first = json.dumps(system_prompt, ensure_ascii=False)
    with_role = "[{'role': 'system', 'content': " + first + "}] + messages"
    yield date + "".join(FIXED_SETTINGS) + _unless_system(with_role) + own
    without = "[{'role': 'user', 'content': " + first + " + '\\n\\n' + messages[0].content}] + messages[1:]"
    yield date + "".join(FIXED_SETTINGS) + _unless_system(without) + own


def _unless_system(messages: str) -> str:
    return "{%- if messages[0].role != 'system' -%}{%- set messages = " + messages + " -%}{%- endif -%}"


def _plain(frame: ChatFrame, system_prompt: str) -> str:
    """The frame of the extractor's prompt around the system message and the last message."""
    head, middle, tail, system = (
        json.dumps(part, ensure_ascii=False) for part in (frame.head, frame.middle, frame.tail, system_prompt)
    )
    return (
        "{%- set system = messages[0].content if messages[0].role == 'system' else " + system + " -%}"
        "{{- " + head + " + system + " + middle + " + messages[-1].content -}}"
        "{%- if add_generation_prompt -%}{{- " + tail + " -}}{%- endif -%}"
    )


def _renders(tokenizer: Any, template: str, chat: ChatRenderer, system_given: bool) -> bool:
    """True if the template writes the extractor's prompt, with the system prompt given or left to it."""
    messages = [{"role": "user", "content": PROBE}]
    if system_given:
        messages.insert(0, {"role": "system", "content": chat.system_prompt})
    try:
        found = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, SecurityError, TypeError, ValueError):
        return False
    return bool(found == chat.render(PROBE))


def modelfile(chat: ChatRenderer, *, weights_file: str, num_ctx: int, stop: str | None, begin: str | None) -> str:
    """Ollama's description of a model: weights, prompt, settings.

    Args:
        chat: Renders the extractor's prompts.
        weights_file: Name of the GGUF file beside it.
        num_ctx: Longest prompt and answer together, in tokens.
        stop: The token that ends an answer.
        begin: A token that llama.cpp puts before each prompt by itself, and the template therefore must not.

    Raises:
        ArtifactError: The prompt holds what a Modelfile has no way to write.
    """
    frame = chat.frame
    head = frame.head.removeprefix(begin) if begin else frame.head
    template = f"{_go(head)}{{{{ .System }}}}{_go(frame.middle)}{{{{ .Prompt }}}}{_go(frame.tail)}{{{{ .Response }}}}"
    for name, text in (("system prompt", chat.system_prompt), ("chat template", template)):
        if '"""' in text or text.endswith('"'):
            raise ArtifactError(f'Expected a {name} that a Modelfile can quote, found """ in it or " at its end.').hint(
                "Export with format='gguf' and write the Modelfile by hand."
            )
    lines = [
        f"FROM ./{weights_file}",
        f'TEMPLATE """{template}"""',
        f'SYSTEM """{chat.system_prompt}"""',
        f"PARAMETER num_ctx {num_ctx}",
        "PARAMETER temperature 0",
    ]
    if stop:
        lines.append(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _go(text: str) -> str:
    """Text that Go's template language writes as it is."""
    return text.replace("{{", '{{ "{{" }}')
