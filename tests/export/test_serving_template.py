"""The chat template of an export and the prompt of a Modelfile write what the extractor's own renderer writes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from extractft.errors import ArtifactError
from extractft.export.serving_template import modelfile, serving_template
from extractft.prompt import ChatRenderer
from extractft.testing import byte_tokenizer

SYSTEM = "Extract \"it\".\n- 名称 'a' {{ b }} 🚛 \\n"
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
GENERATION = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TEMPLATES = {
    "chatml": PLAIN + GENERATION,
    "default system": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    + PLAIN
    + GENERATION,
    "no system role": "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + PLAIN
    + GENERATION,
    "thinking": PLAIN
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
    "date": "<|im_start|>system\n{{ strftime_now('%d %B %Y') }}\n{{ messages[0].content }}<|im_end|>\n"
    "<|im_start|>user\n{{ messages[1].content }}<|im_end|>\n" + GENERATION,
    "opens thinking": PLAIN.replace("{{ m.content }}", "{{ m.content }}")
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
}


def _rendered(tokenizer: Any, template: str, messages: list[dict[str, str]]) -> str:
    return str(
        tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_renders_the_prompt_whatever_the_base_models_template(name: str) -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = TEMPLATES[name]
    chat = ChatRenderer(tokenizer, SYSTEM)
    template = serving_template(tokenizer, chat)
    for text in ("a text", "多 lines\n{{ x }} 🚛"):
        user = {"role": "user", "content": text}
        assert _rendered(tokenizer, template, [user]) == chat.render(text)
        assert _rendered(tokenizer, template, [{"role": "system", "content": SYSTEM}, user]) == chat.render(text)


def test_qwen3_keeps_its_conversations(qwen3_tokenizer: Any) -> None:
    chat = ChatRenderer(qwen3_tokenizer, SYSTEM)
    template = serving_template(qwen3_tokenizer, chat)
    talk = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    assert _rendered(qwen3_tokenizer, template, talk).count("<|im_start|>") == 5
    assert _rendered(qwen3_tokenizer, template, talk).endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize("name", ["chatml", "thinking", "date"])
def test_a_modelfile_renders_the_prompt(name: str) -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = TEMPLATES[name]
    chat = ChatRenderer(tokenizer, SYSTEM)
    written = modelfile(chat, weights_file="m.gguf", num_ctx=4096, stop="<|im_end|>", begin=None)
    template = re.search(r'TEMPLATE """(.*?)"""', written, re.DOTALL)
    assert template is not None
    filled = (
        template[1].replace("{{ .System }}", SYSTEM).replace("{{ .Prompt }}", "a text").replace("{{ .Response }}", "")
    )
    assert filled == chat.render("a text")
    assert f'SYSTEM """{SYSTEM}"""' in written
    for line in ("FROM ./m.gguf", "PARAMETER num_ctx 4096", "PARAMETER temperature 0", 'PARAMETER stop "<|im_end|>"'):
        assert line in written.splitlines()


def test_a_modelfile_leaves_out_what_the_engine_adds_and_refuses_what_it_cannot_quote() -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = PLAIN + GENERATION
    chat = ChatRenderer(tokenizer, 'Say """ twice')
    with pytest.raises(ArtifactError, match="system prompt that a Modelfile can quote"):
        modelfile(chat, weights_file="m.gguf", num_ctx=1, stop=None, begin=None)
    other = ChatRenderer(tokenizer, "Say")
    written = modelfile(other, weights_file="m.gguf", num_ctx=1, stop=None, begin="<|im_start|>")
    assert 'TEMPLATE """system\n' in written
    assert "PARAMETER stop" not in written
