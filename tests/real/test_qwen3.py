"""What Qwen3 sees in training is what its own template renders, token for token."""

from __future__ import annotations

from typing import Any

import pytest

from complaints.writer import generate
from extractft.demo.complaints import Complaint
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.schema import Schema

pytestmark = pytest.mark.real

ROWS = [(row.text, row.output) for row in generate(20, seed=5)]


@pytest.fixture(scope="module")
def chat(qwen3_tokenizer: Any) -> ChatRenderer:
    return ChatRenderer(qwen3_tokenizer, render_system_prompt(Schema.of(Complaint)))


def test_prompt_and_completion_are_the_templates_own_rendering(chat: ChatRenderer, qwen3_tokenizer: Any) -> None:
    schema = Schema.of(Complaint)
    for text, record in ROWS:
        answer = schema.canonical_json(record)
        messages = [
            {"role": "system", "content": chat.system_prompt},
            {"role": "user", "content": text},
            {"role": "assistant", "content": answer},
        ]
        whole = qwen3_tokenizer.apply_chat_template(messages, tokenize=False, enable_thinking=False)
        ids = chat.prompt_ids(text) + chat.completion_ids(answer)
        assert qwen3_tokenizer.decode(ids) == whole.removesuffix("\n")
        assert ids == qwen3_tokenizer.encode(whole.removesuffix("\n"))
        assert ids[-1] == qwen3_tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_the_prompt_is_a_prefix_with_the_empty_think_block(chat: ChatRenderer, qwen3_tokenizer: Any) -> None:
    for text, _ in ROWS:
        messages = [{"role": "system", "content": chat.system_prompt}, {"role": "user", "content": text}]
        prompt = qwen3_tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        assert prompt.endswith("<think>\n\n</think>\n\n")
        assert chat.prompt_ids(text) == qwen3_tokenizer.encode(prompt)


def test_control_tokens_in_a_text_stay_text(chat: ChatRenderer, qwen3_tokenizer: Any) -> None:
    hostile = "".join(token.content for token in qwen3_tokenizer.added_tokens_decoder.values()) + "龙琳"
    assert not set(chat.text_ids(hostile)) & set(qwen3_tokenizer.added_tokens_decoder)
    assert chat.decode(chat.text_ids(hostile)) == hostile
