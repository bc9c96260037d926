"""Products in 8 bits: nearly those of float32, each row by itself, and the model as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from transformers import Lfm2Config, Lfm2ForCausalLM

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.completion import GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.errors import ConfigError
from extractft.inference import TransformersEngine
from extractft.inference.cpu import int8_linears as eight_bit
from extractft.inference.cpu import transposed_linears as linears
from extractft.inference.cpu.int8_linears import Int8Linears
from extractft.schema import Schema
from extractft.testing import tiny_model


class Item(BaseModel):
    name: str
    note: str | None = None


ROWS = [("tea", Item(name="tea")), ("rice now", Item(name="rice", note="now")), ("salt", Item(name="salt"))]


@pytest.fixture(autouse=True)
def small_layers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linears, "_LEAST_WEIGHTS", 1)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("shape", [(1, 96), (5, 96), (1, 7, 96), (2, 3, 96), (96,)])
def test_products_are_nearly_those_of_float32(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(96, 64), nn.Linear(64, 40, bias=False))
    rows = torch.randn(*shape)
    small = Int8Linears(net)
    with torch.no_grad():
        expected = net(rows)
        with small.installed():
            found = net(rows)
        assert found.shape == expected.shape
        assert 0 < distance(found, expected) < 0.02
        assert torch.equal(net(rows), expected)


def test_a_row_comes_out_as_it_does_alone() -> None:
    torch.manual_seed(0)
    net = nn.Linear(96, 64)
    rows = torch.randn(9, 96) * torch.logspace(-3, 3, 9)[:, None]
    rows[4] = 0
    with torch.no_grad(), Int8Linears(net).installed():
        together = net(rows)
        for i in range(9):
            assert torch.equal(net(rows[i : i + 1])[0], together[i])
    assert torch.equal(together[4], net.bias)


def test_rows_that_are_no_numbers_spoil_themselves_alone() -> None:
    net = nn.Linear(96, 64)
    rows = torch.randn(3, 96)
    with torch.no_grad(), Int8Linears(net).installed():
        expected = net(rows)
        rows[1, 5] = float("nan")
        found = net(rows)
    assert torch.equal(found[[0, 2]], expected[[0, 2]])
    assert found[1].isnan().all()


def test_loud_channels_are_smoothed_by_what_the_sample_shows() -> None:
    model = tiny_model()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[3] = 300.0
            layer.post_attention_layernorm.weight[5] = 300.0
    sample, ids = list(range(40, 90)), torch.tensor([list(range(60, 120))])
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        errors = []
        for small in (Int8Linears(model), Int8Linears(model, sample)):
            with small.installed():
                errors.append(distance(model(input_ids=ids).logits, expected))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.05


def test_no_logits_of_the_whole_sample_are_computed() -> None:
    model, widths = tiny_model(), []
    hook = model.get_output_embeddings().register_forward_hook(lambda *parts: widths.append(parts[2].shape[1]))
    with torch.no_grad(), Int8Linears(model, list(range(40, 90))).installed():
        hook.remove()
    assert widths == [1]


def test_changed_weights_are_rounded_again() -> None:
    net = nn.Linear(96, 64, bias=False)
    small, rows = Int8Linears(net), torch.randn(2, 96)
    with torch.no_grad():
        with small.installed():
            before = net(rows)
        net.weight.mul_(3)
        with small.installed():
            after = net(rows)
    torch.testing.assert_close(after, 3 * before)


def test_what_cannot_be_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="float32"):
        Int8Linears(nn.Linear(96, 64, dtype=torch.bfloat16))
    monkeypatch.setattr(eight_bit, "_pack", missing)
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: torch.zeros(len(a), b.shape[1], dtype=torch.int32))
    with other_sums(), pytest.raises(ConfigError, match="overflow"):
        Int8Linears(nn.Linear(96, 64))
    monkeypatch.setattr(torch, "_int_mm", missing)
    with other_sums(), pytest.raises(ConfigError, match="8-bit products"):
        Int8Linears(nn.Linear(96, 64))


def test_both_ways_to_add_up_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    net, rows = nn.Linear(96, 64), torch.randn(7, 96)
    with torch.no_grad():
        with Int8Linears(net).installed():
            found = net(rows)
        monkeypatch.setattr(eight_bit, "_pack", missing)
        with other_sums(), Int8Linears(net).installed():
            assert eight_bit.sums() is eight_bit._plain_sums
            torch.testing.assert_close(net(rows), found, rtol=1e-6, atol=1e-6)


def missing(*_: Any) -> Any:
    raise NotImplementedError("no such thing")


@contextmanager
def other_sums() -> Iterator[None]:
    """The choice is made anew, inside and afterwards."""
    eight_bit.sums.cache_clear()
    try:
        yield
    finally:
        eight_bit.sums.cache_clear()


def test_drafted_and_batched_answers_are_those_of_one_at_a_time(tokenizer: Any) -> None:
    model, schema = tiny_model(seed=3), Schema.of(Item)
    compiler = GrammarCompiler(tokenizer, vocab_size=264, end_token_id=tokenizer.eos_token_id)
    grammar = compiler.compile(schema, max_string_length=40)
    prefix = tuple(tokenizer.encode("<system>Extract the item.</system>", add_special_tokens=False))
    texts = [f"{word} and {word * 2} {i}" for i, word in enumerate(["tea", "rice", "salt", "茶", "oil"] * 4)]
    requests = [
        GenerationRequest((*prefix, *source), grammar, 48, source)
        for source in (tuple(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    ]

    def answers(proposer: str, *, batch_size: int) -> list[tuple[int, ...]]:
        engine = TransformersEngine(
            model, end_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
            config=GenerationConfig(proposer=proposer), prefix_ids=prefix, eight_bit=True,
        )  # fmt: skip
        return [c.token_ids for c in engine.generate(requests, batch_size=batch_size)]

    plain = answers("none", batch_size=1)
    assert answers("learned", batch_size=1) == plain
    assert answers("learned", batch_size=7) == plain


def test_a_model_that_cannot_be_packed_is_refused(tokenizer: Any) -> None:
    shape = {"vocab_size": 264, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "pad_token_id": 256}
    kinds = ["conv", "full_attention"]
    config = Lfm2Config(**shape, num_attention_heads=4, num_key_value_heads=2, layer_types=kinds)
    grammar = GrammarCompiler(tokenizer, vocab_size=264, end_token_id=tokenizer.eos_token_id).compile(Schema.of(Item))
    engine = TransformersEngine(
        Lfm2ForCausalLM(config).eval(), end_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
        config=GenerationConfig(), eight_bit=True,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="packed"):
        list(engine.generate([GenerationRequest((1, 2), grammar, 40)]))


def test_copies_are_made_anew_after_a_reset_and_of_weights_that_know_no_version(tokenizer: Any) -> None:
    with torch.inference_mode():
        net = nn.Linear(96, 64)
    small, rows = Int8Linears(net), torch.randn(3, 96)
    with torch.no_grad():
        for _ in range(2):
            with small.installed():
                found = net(rows)
            assert distance(found, net(rows)) < 0.02
    end = tokenizer.eos_token_id
    engine = TransformersEngine(
        tiny_model(), end_token_id=end, pad_token_id=end, config=GenerationConfig(), eight_bit=True
    )
    with engine._linears().installed():
        pass
    assert engine._eight_bit is not None
    assert engine._eight_bit._rounded
    engine.reset()
    assert not engine._eight_bit._rounded


def test_an_extractor_in_8_bits_gives_its_records(tiny_base: Path, tmp_path: Path) -> None:
    config = TrainingConfig(
        learning_rate=2e-2, num_train_epochs=60, warmup_steps=0, eval_fraction=0, seed=1,
        lora=LoRAConfig(r=8, lora_dropout=0.0),
    )  # fmt: skip
    Extractor.fit(Item, ROWS, base_model=str(tiny_base), config=config).save_pretrained(tmp_path / "out")
    extractor = Extractor.from_pretrained(tmp_path / "out", schema=Item, dtype="int8")
    assert [extractor.extract(text) for text, _ in ROWS] == [item for _, item in ROWS]
    extractor.save_pretrained(tmp_path / "again")
    again = Extractor.from_pretrained(tmp_path / "again", schema=Item)
    assert again.extract("rice now") == ROWS[1][1]
    with pytest.raises(ConfigError, match="int7"):
        Extractor.from_pretrained(tmp_path / "out", dtype="int7")
