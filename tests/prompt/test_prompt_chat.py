from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from extractft.errors import PromptError
from extractft.prompt import ChatFrame, ChatRenderer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{% for m in messages %}{% set c = '<|start|>' + m.role + '<|end|>\n\n' + m.content | trim + '<|eot|>' %}"
    "{% if loop.first %}{% set c = bos_token + c %}{% endif %}{{ c }}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}"
    "[INST] {{ system + '\n\n' if loop.first and system else '' }}{{ m.content.strip() }} [/INST]"
    "{% else %} {{ m.content.strip() }}{{ eos_token }}{% endif %}{% endfor %}"
)
IGNORES_SYSTEM = (
    "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OPENS_THINKING = CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")
DATED = "{{ strftime_now('%d %b %Y') }} " + CHATML

CONTROL = ["<|im_start|>", "<|im_end|>", "<|start|>", "<|end|>", "<|eot|>", "<start_of_turn>", "<end_of_turn>"]
CONTROL += ["[INST]", "[/INST]", "<s>", "</s>", "<think>", "</think>"]


def byte_level(template: str | None, **options: Any) -> PreTrainedTokenizerFast:
    """One token a byte and the control tokens of several model families."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(t, special="think" not in t, normalized=False) for t in CONTROL])
    options = {"bos_token": "<s>", "eos_token": "</s>", **options}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, **options)


def sentencepiece_like(*, legacy: bool) -> PreTrainedTokenizerFast:
    """Spaces as U+2581, a space put before each encoded piece, bytes for unknown characters: Llama 2's shape."""
    letters = '▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ[]<>/{}":,\n'
    vocab = {
        token: i for i, token in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *letters])
    }
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    strip = decoders.Strip(content=" ", left=1, right=0)
    if legacy:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip]
        )
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
        metaspace = decoders.Metaspace(prepend_scheme="always", split=False)
        backend.decoder = decoders.Sequence([decoders.ByteFallback(), metaspace])
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=MISTRAL, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def unigram_like() -> PreTrainedTokenizerFast:
    """A vocabulary in which a control token is an ordinary piece too, and without a way to spell the unknown."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("[INST]", 0.0), *((c, -5.0) for c in ' </s>[]INSTabcdefxyz{}":1\n')]
    backend = Tokenizer(models.Unigram(list(dict(pieces).items()), unk_id=0, byte_fallback=False))
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(["<unk>", "</s>", "[INST]"])
    template = "{% for m in messages %}[INST]{{ m.content }}{{ eos_token }}{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=template, eos_token="</s>", unk_token="<unk>"
    )


def whole(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def token(tokenizer: Any, spelling: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(spelling))


SYSTEM = "Extract a record. 提取信息。\n- name\n- total (number)"
ORDINARY = [
    "龙琳，宁夏回族自治区 955491，nafan@example.com。",
    "one two  three",
    "a\n\nb\tc",
    "Total: 12.50 €",
    "é 👍🏽",
]
ANSWER = '{"name":"龙琳","total":1.5}'


@pytest.mark.parametrize("text", ORDINARY)
@pytest.mark.parametrize("template", [CHATML, LLAMA3, GEMMA, MISTRAL, IGNORES_SYSTEM])
def test_prompt_equals_the_template_tokenised_in_one_go(template: str, text: str) -> None:
    tokenizer = byte_level(template)
    chat = ChatRenderer(tokenizer, SYSTEM)
    assert chat.prompt_ids(text) == whole(tokenizer, chat.render(text))
    assert chat.prompt_ids(text) == [*chat.prefix_ids, *chat.text_ids(text), *chat.suffix_ids]


@pytest.mark.real
@pytest.mark.parametrize("text", ORDINARY)
def test_qwen3_conversation_is_prompt_and_completion(qwen3_tokenizer: Any, text: str) -> None:
    chat = ChatRenderer(qwen3_tokenizer, SYSTEM)
    prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    rendered = qwen3_tokenizer.apply_chat_template(
        prompt, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert chat.render(text) == rendered
    assert chat.prompt_ids(text) == whole(qwen3_tokenizer, rendered)
    conversation = qwen3_tokenizer.apply_chat_template(
        [*prompt, {"role": "assistant", "content": ANSWER}], tokenize=False, enable_thinking=False
    )
    newline = whole(qwen3_tokenizer, "\n")
    assert whole(qwen3_tokenizer, conversation) == chat.prompt_ids(text) + chat.completion_ids(ANSWER) + newline
    assert chat.end_token_id == token(qwen3_tokenizer, "<|im_end|>")


def test_what_the_model_sees(tokenizer: Any) -> None:
    assert ChatRenderer(tokenizer, "Extract.").render("Hi") == (
        "<|im_start|>system\nExtract.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert ChatRenderer(byte_level(LLAMA3), "Extract.").render(" Hi ") == (
        "<s><|start|>system<|end|>\n\nExtract.<|eot|><|start|>user<|end|>\n\n Hi <|eot|><|start|>assistant<|end|>\n\n"
    )
    assert ChatRenderer(byte_level(GEMMA), "Extract.").render("Hi") == (
        "<s><start_of_turn>user\nExtract.\n\nHi<end_of_turn>\n<start_of_turn>model\n"
    )
    assert ChatRenderer(byte_level(MISTRAL), "Extract.").render("Hi") == "<s>[INST] Extract.\n\nHi [/INST]"
    assert ChatRenderer(byte_level(IGNORES_SYSTEM), "Extract.").render("Hi") == (
        "<|im_start|>user\nExtract.\n\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("template", "end"),
    [(CHATML, "<|im_end|>"), (LLAMA3, "<|eot|>"), (GEMMA, "<end_of_turn>"), (MISTRAL, "</s>")],
)
def test_the_end_token_is_what_the_template_writes(template: str, end: str) -> None:
    tokenizer = byte_level(template)
    chat = ChatRenderer(tokenizer, SYSTEM)
    assert chat.end_token_id == token(tokenizer, end)
    assert chat.completion_ids("{}")[-1] == chat.end_token_id


def test_the_end_token_falls_back_to_eos() -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
    assert ChatRenderer(byte_level(template), SYSTEM).end_token_id == token(byte_level(template), "</s>")
    with pytest.raises(PromptError, match="ends the answer"):
        ChatRenderer(byte_level(template, eos_token=None), SYSTEM)


def test_an_empty_think_block_belongs_to_the_prompt() -> None:
    with_block = CHATML.replace(
        "{{ m.content }}", "{{ '<think>\n\n</think>\n\n' if m.role == 'assistant' }}{{ m.content }}"
    )
    assert ChatRenderer(byte_level(with_block), SYSTEM).render("x").endswith("assistant\n<think>\n\n</think>\n\n")


def test_an_open_think_block_is_left_out() -> None:
    assert ChatRenderer(byte_level(OPENS_THINKING), SYSTEM).render("x").endswith("<|im_start|>assistant\n")


def test_the_prompt_does_not_depend_on_the_day() -> None:
    assert ChatRenderer(byte_level(DATED), SYSTEM).render("x").startswith("26 Jul 2024 <|im_start|>")


def test_templates_that_trim_do_not_reach_the_text() -> None:
    for template in (LLAMA3, GEMMA, MISTRAL):
        chat = ChatRenderer(byte_level(template), SYSTEM)
        assert chat.decode(chat.text_ids(" \n x \n")) == " \n x \n"
        assert " \n x \n" in chat.render(" \n x \n")


CHARACTERS = st.characters(exclude_categories=["Cs"])
SPELLINGS = [*CONTROL, "<|endoftext|>", "<tool_response>", "</tool_response>", "<|im_start|>user\n", "<|vision_start|>"]
ODD = [
    "\r\n",
    "\u3000",
    "＜｜ｉｍ＿ｅｎｄ｜＞",
    "e\u0301",
    "\u1100\u1161",
    "👩\u200d👩\u200d👧",
    "\x00",
    "\x7f",
    "\u2028",
    "\ufeff",
    "  ",
]
texts = st.lists(st.one_of(st.sampled_from(SPELLINGS + ODD), st.text(CHARACTERS, max_size=8)), max_size=10).map("".join)


def assert_plain(chat: ChatRenderer, ids: Sequence[int], text: str) -> None:
    assert chat.control_ids.isdisjoint(ids)
    assert chat.decode(ids) == unicodedata.normalize("NFC", text)


@given(text=texts)
def test_no_text_spells_a_control_token(text: str, tokenizer: Any) -> None:
    chat = ChatRenderer(tokenizer, "Extract.")
    assert_plain(chat, chat.text_ids(text), text)
    assert_plain(chat, chat.completion_ids(text)[:-1], text)


@pytest.mark.real
@given(text=texts)
def test_no_text_spells_a_control_token_of_qwen3(text: str, qwen3_chat: ChatRenderer) -> None:
    assert_plain(qwen3_chat, qwen3_chat.text_ids(text), text)
    assert_plain(qwen3_chat, qwen3_chat.completion_ids(text)[:-1], text)


@pytest.fixture(scope="session")
def qwen3_chat(qwen3_tokenizer: Any) -> ChatRenderer:
    return ChatRenderer(qwen3_tokenizer, "Extract.")


@pytest.mark.real
def test_every_added_token_of_qwen3_is_neutralised(qwen3_tokenizer: Any, qwen3_chat: ChatRenderer) -> None:
    added = qwen3_tokenizer.get_added_vocab()
    assert qwen3_chat.control_ids == set(added.values())
    for spelling in added:
        assert_plain(qwen3_chat, qwen3_chat.text_ids(f"a{spelling}b"), f"a{spelling}b")


def test_control_spellings_in_the_system_prompt_are_text() -> None:
    tokenizer = byte_level(CHATML)
    chat = ChatRenderer(tokenizer, "Extract <|im_end|> and </think>.")
    assert chat.prefix_ids.count(token(tokenizer, "<|im_end|>")) == 1
    assert token(tokenizer, "</think>") not in chat.prefix_ids


@pytest.mark.parametrize("legacy", [True, False])
def test_sentencepiece_pieces_gain_no_space(legacy: bool) -> None:
    tokenizer = sentencepiece_like(legacy=legacy)
    chat = ChatRenderer(tokenizer, "Extract.")
    assert tokenizer.convert_ids_to_tokens(chat.text_ids("ab")) == ["a", "b"]
    assert tokenizer.convert_ids_to_tokens(chat.completion_ids("{}")) == ["{", "}", "</s>"]
    assert tokenizer.convert_ids_to_tokens(list(chat.suffix_ids)) == list("▁[/INST]")
    assert_plain(chat, chat.text_ids(" a b\n</s>龙👍"), " a b\n</s>龙👍")
    with pytest.raises(PromptError, match="spell"):
        chat.completion_ids('{"a":"▁"}')


@pytest.mark.parametrize("legacy", [True, False])
@given(text=st.text(CHARACTERS.filter(lambda c: c != "▁"), max_size=30))
def test_sentencepiece_round_trip(text: str, legacy: bool) -> None:
    chat = ChatRenderer(sentencepiece_like(legacy=legacy), "Extract.")
    assert_plain(chat, chat.text_ids(text), text)


def test_a_control_token_in_the_plain_vocabulary_is_split() -> None:
    tokenizer = unigram_like()
    chat = ChatRenderer(tokenizer, "a")
    text = "ab</s>[INST]</s>cd"
    assert_plain(chat, chat.text_ids(text), text)
    assert len(chat.text_ids(text)) == len(text)


def test_an_unknown_character_is_fine_in_a_text_and_not_in_an_answer() -> None:
    chat = ChatRenderer(unigram_like(), "a")
    assert chat.decode(chat.text_ids("a龙b")) == "a<unk>b"
    assert chat.decode(chat.text_ids("<s>")) == "<s>"
    assert len(chat.text_ids("<unk>")) == 5, "the spelling of the unknown token is not the token"
    with pytest.raises(PromptError, match="answer"):
        chat.completion_ids('{"a":"龙"}')


def test_white_space_in_the_added_vocabulary_is_text() -> None:
    tokenizer = byte_level(CHATML)
    tokenizer.add_tokens(["\n\n", "    ", "▁▁", "€"])
    chat = ChatRenderer(tokenizer, "Extract.")
    assert token(tokenizer, "\n\n") not in chat.control_ids
    assert chat.decode(chat.text_ids("a\n\n    b€")) == "a\n\n    b€"


def test_truncation_set_by_others_does_not_cut_prompts() -> None:
    tokenizer = byte_level(CHATML)
    expected = ChatRenderer(tokenizer, SYSTEM).prompt_ids("long " * 50)
    tokenizer.backend_tokenizer.enable_truncation(8)
    tokenizer.backend_tokenizer.enable_padding(length=400)
    assert ChatRenderer(tokenizer, SYSTEM).prompt_ids("long " * 50) == expected
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 8, "the caller's tokenizer stays as it was"


def test_decomposed_and_composed_text_give_one_prompt(tokenizer: Any) -> None:
    chat = ChatRenderer(tokenizer, "Re\u0301sume\u0301.")
    assert chat.system_prompt == "Résumé."
    assert chat.prompt_ids("Cafe\u0301") == chat.prompt_ids("Café")
    assert chat.completion_ids('"Cafe\u0301"') == chat.completion_ids('"Café"')


def test_lone_surrogates_are_refused(tokenizer: Any) -> None:
    chat = ChatRenderer(tokenizer, "Extract.")
    for encode in (chat.render, chat.text_ids, chat.prompt_ids, chat.completion_ids):
        with pytest.raises(PromptError, match="surrogate"):
            encode("\ud800")


def test_unknown_ids_are_refused(tokenizer: Any) -> None:
    with pytest.raises(PromptError, match="found 9999"):
        ChatRenderer(tokenizer, "Extract.").decode([65, 9999])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "chat template"),
        ("{{ raise_exception('No.') }}", "raises an error"),
        (
            "{{ messages[0].content }} {{ messages[0].content }} {{ messages[-1].content }}",
            "system message once.*2 times",
        ),
        ("{{ messages[0].content }} {% if messages|length > 1 %}{{ messages[1].content * 2 }}{% endif %}", "2 times"),
        ("{{ messages[0].content }}", "user message once.*0 times"),
        ("{{ messages[-1].content }} {{ messages[0].content }}", "out of order"),
        ("Hello", "0 times"),
        ("{{ messages.nope.nope }}", "raises an error"),
        ("{{ messages[0].content + 1 }}", "fails"),
    ],
)
def test_templates_that_cannot_carry_a_chat_are_refused(template: str | None, message: str) -> None:
    with pytest.raises(PromptError, match=f"(?s){message}") as caught:
        ChatRenderer(byte_level(template), SYSTEM)
    assert caught.value.__notes__, "says what to do"
    assert "Slot" not in str(caught.value)


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        chat_template = CHATML
        eos_token_id = 0

    with pytest.raises(PromptError, match="fast tokenizer"):
        ChatRenderer(Slow(), SYSTEM)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ without end

ENDLESS = {
    "nested ranges": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "nested lists": "{% set x = messages * 99 %}" + "{% for i in x %}" * 9 + "{% endfor %}" * 9,
    "a macro that calls itself": "{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(20) }}",
    "a word generator": "{{ lipsum(n=10**6) }}",
    "filters": "{% for i in range(99999) %}{{ range(99999) | batch(2) | list | length }}{% endfor %}",
}
RAW = {
    "OverflowError": "{{ range(100001) | length }}",
    "ZeroDivisionError": "{{ 1 // 0 }}",
    "IndexError": "{{ messages.pop(9) }}",
    "MemoryError": "{{ 'x' * 10**15 }}",
    "RecursionError": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ENDLESS)
def test_chat_templates_that_loop_are_stopped(kind: str) -> None:
    with pytest.raises(PromptError) as caught:
        ChatRenderer(byte_level(ENDLESS[kind] + LLAMA3), SYSTEM)
    assert caught.value.__notes__
    assert sys.gettrace() is None or "coverage" in sys.modules


@pytest.mark.parametrize("kind", RAW)
def test_chat_templates_raise_no_raw_errors(kind: str) -> None:
    with pytest.raises(PromptError):
        ChatRenderer(byte_level(RAW[kind] + LLAMA3), SYSTEM)


def test_a_known_frame_renders_nothing() -> None:
    rendered = ChatRenderer(byte_level(LLAMA3), SYSTEM)
    tokenizer = byte_level(ENDLESS["nested ranges"] + LLAMA3)
    stored = ChatFrame(**json.loads(json.dumps(dataclasses.asdict(rendered.frame))))
    again = ChatRenderer(tokenizer, SYSTEM, frame=stored)
    assert again.prompt_ids("Hi <|eot|>") == rendered.prompt_ids("Hi <|eot|>")
    assert (again.end_token_id, again.render("x")) == (rendered.end_token_id, rendered.render("x"))


def test_a_debugger_is_put_back() -> None:
    before, seen = sys.gettrace(), []

    def tracer(*event: Any) -> None:
        seen.append(event)

    sys.settrace(tracer)
    try:
        ChatRenderer(byte_level(LLAMA3), SYSTEM)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert seen
