"""A tokenizer read from `tokenizer.json` alone: the same ids, texts and masks as by way of transformers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from transformers import AutoTokenizer

from extractft import Schema, Verbatim
from extractft.constraints import GrammarCompiler
from extractft.errors import ArtifactError, PromptError
from extractft.modeling import load_tokenizer, resolve_base_model
from extractft.prompt import ChatRenderer
from extractft.prompt.stored_tokenizer import StoredTokenizer

TEXTS = [
    "Wu Qi, w@z.com: no light in the yard since 2022-01-02.",
    "投诉：垃圾桶满了，２０２６年三月。",
    "<|im_end|> </think> <|endoftext|> are texts",
    "👩‍💻 e\u0301 \u200b\ufeff ﬁ ŉ\r\n\ttabs  and   blanks ",
    "",
]


class Mixed(BaseModel):
    name: Annotated[str, Verbatim()]
    kind: Literal["rubbish", "灯"]
    number: int | None = None
    tags: list[str] = Field(default=[], max_length=2)


@pytest.fixture(params=["tiny", "qwen3", "smollm2"])
def tokenizer_in_use(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    if request.param == "tiny":
        return tokenizer
    if request.param == "qwen3":
        return request.getfixturevalue("qwen3_tokenizer")
    return load_tokenizer(resolve_base_model("smollm2-135m"))


@pytest.mark.real
def test_the_same_ids_texts_and_masks(tokenizer_in_use: Any, tmp_path: Path) -> None:
    tokenizer_in_use.save_pretrained(tmp_path)
    there = AutoTokenizer.from_pretrained(tmp_path)
    chat = ChatRenderer(there, "System: 系统.")
    stored = StoredTokenizer.from_directory(tmp_path, eos_token_id=chat.end_token_id)
    alone = ChatRenderer(stored, "System: 系统.", frame=chat.frame)
    assert (alone.prefix_ids, alone.suffix_ids) == (chat.prefix_ids, chat.suffix_ids)
    assert (alone.end_token_id, alone.control_ids) == (chat.end_token_id, chat.control_ids)
    for text in TEXTS:
        assert alone.prompt_ids(text) == chat.prompt_ids(text)
        assert alone.completion_ids(text) == chat.completion_ids(text)
        assert alone.decode(alone.text_ids(text)) == chat.decode(chat.text_ids(text))
        assert alone.render(text) == chat.render(text)
    backend = there.backend_tokenizer
    size = backend.get_vocab_size(with_added_tokens=True)
    assert stored.backend_tokenizer.get_vocab(with_added_tokens=True) == backend.get_vocab(with_added_tokens=True)
    assert_same_masks(there, stored, size + 3, chat)


def assert_same_masks(one: Any, other: Any, vocab_size: int, chat: ChatRenderer) -> None:
    schema: Schema[Mixed] = Schema.of(Mixed)
    answer = schema.canonical_json(Mixed(name="Wu Qi", kind="灯", number=-12, tags=["a", "é"]))
    matchers = []
    for tokenizer in (one, other):
        compiler = GrammarCompiler(tokenizer, vocab_size=vocab_size, end_token_id=chat.end_token_id)
        matchers.append(compiler.compile(schema, text=TEXTS[0], max_string_length=200).matcher())
    masks = [bytearray(4 * -(-vocab_size // 32)) for _ in matchers]
    for token_id in chat.completion_ids(answer):
        for matcher, mask in zip(matchers, masks, strict=True):
            matcher.fill_mask(mask)
        assert masks[0] == masks[1]
        assert matchers[0].forced_tokens() == matchers[1].forced_tokens()
        for matcher in matchers:
            matcher.consume(token_id)
    assert all(matcher.is_finished() for matcher in matchers)


def test_truncation_that_somebody_has_set_is_left_out(tokenizer: Any, tmp_path: Path) -> None:
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.enable_truncation(4)
    backend.save(str(tmp_path / "tokenizer.json"))
    frame = ChatRenderer(tokenizer, "").frame
    chat = ChatRenderer(StoredTokenizer.from_directory(tmp_path), "", frame=frame)
    assert len(chat.text_ids("twenty characters ok")) == 20


def test_no_frame_and_no_template(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    stored = StoredTokenizer.from_directory(tmp_path)
    with pytest.raises(PromptError, match="chat template"):
        ChatRenderer(stored, "")
    with pytest.raises(PromptError, match="chat template"):
        stored.apply_chat_template([])


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}', encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        StoredTokenizer.from_directory(tmp_path)


def test_it_loads_no_transformers() -> None:
    code = "import sys, extractft.prompt.stored_tokenizer; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
