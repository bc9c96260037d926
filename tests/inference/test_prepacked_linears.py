"""Products by weights laid out beforehand: those of the layers themselves, and the model as it was afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from extractft.config import GenerationConfig
from extractft.inference import TransformersEngine
from extractft.inference.cpu import prepacked_linears as prepacked
from extractft.inference.cpu import transposed_linears as linears
from extractft.inference.cpu.prepacked_linears import PrepackedLinears
from extractft.inference.cpu.transposed_linears import seconds
from extractft.testing import tiny_model


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.with_bias = nn.Linear(320, 256)
        self.without = nn.Linear(256, 272, bias=False)
        self.small = nn.Linear(272, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(self.without(torch.tanh(self.with_bias(x))))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models take part, and no clock decides."""
    monkeypatch.setattr(prepacked, "_LEAST_BYTES", 0)
    monkeypatch.setattr(linears, "_LEAST_WEIGHTS", 1)
    monkeypatch.setattr(prepacked, "_is_faster", lambda threads: True)


@pytest.mark.parametrize("shape", [(1, 320), (3, 320), (4, 320), (33, 320), (1, 2, 320), (2, 9, 320), (320,), (0, 320)])
def test_products_are_those_of_the_layers(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = Net()
    rows = torch.randn(*shape)
    with torch.no_grad():
        expected = net(rows)
        with PrepackedLinears(net).installed():
            found = net(rows)
            assert "forward" in vars(net.without)
            assert "forward" not in vars(net.small)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert "forward" not in vars(net.without)


def test_a_change_of_the_weights_is_seen_and_memory_is_given_back() -> None:
    net, rows = Net(), torch.ones(4, 320)
    layers = PrepackedLinears(net)
    with torch.no_grad():
        with layers.installed():
            net(rows)
        first = layers._packed
        with layers.installed():
            assert layers._packed is first
        net.without.weight.mul_(2)
        expected = net(rows)
        with layers.installed():
            torch.testing.assert_close(net(rows), expected, rtol=1e-5, atol=1e-5)
    assert layers.nbytes == 4 * (320 * 256 + 256 * 272)
    layers.release()
    assert layers._packed == []


def test_only_a_model_that_it_pays_for_is_prepacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepacked, "_is_faster", lambda threads: True)
    assert not PrepackedLinears(Net()).worthwhile()  # too small
    monkeypatch.setattr(prepacked, "_LEAST_BYTES", 0)
    assert PrepackedLinears(Net()).worthwhile()
    assert not PrepackedLinears(Net().double()).worthwhile()
    monkeypatch.setattr(prepacked, "available_memory", lambda device: PrepackedLinears(Net()).nbytes)
    assert not PrepackedLinears(Net()).worthwhile()  # no room
    monkeypatch.undo()
    monkeypatch.setattr(prepacked, "_LEAST_BYTES", 0)
    monkeypatch.setattr(prepacked, "_is_faster", lambda threads: False)
    assert not PrepackedLinears(Net()).worthwhile()


def test_the_trial_runs_both_ways_and_says_no_where_there_is_but_one(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"usual": 3.0, "other": 1.0}

    def clock(product: Any, weights: Any) -> float:
        """Both ways are really run; the time is made up."""
        seconds(product, weights)
        return took["usual" if product.func is F.linear else "other"]

    monkeypatch.setattr(prepacked, "seconds", clock)
    for other, faster in ((1.0, True), (2.9, False), (9.0, False)):
        prepacked._is_faster.cache_clear()
        took["other"] = other
        assert prepacked._is_faster(1) is faster

    def missing(*_: Any) -> Any:
        raise NotImplementedError

    prepacked._is_faster.cache_clear()
    monkeypatch.setattr(prepacked, "_pack", missing)
    assert prepacked._is_faster(1) is False
    prepacked._is_faster.cache_clear()


@pytest.mark.usefixtures("always")
def test_an_engine_uses_the_copy_unless_told_not_to(tokenizer: Any) -> None:
    model = tiny_model()
    end = tokenizer.eos_token_id

    def make(**settings: Any) -> TransformersEngine:
        return TransformersEngine(model, end_token_id=end, pad_token_id=end, config=GenerationConfig(**settings))

    engine = make()
    assert isinstance(engine._linears(), PrepackedLinears)
    with engine._linears().installed():
        pass
    assert engine._prepacked._packed
    engine.reset()
    assert not engine._prepacked._packed
    assert not isinstance(make(prepack_weights=False)._linears(), PrepackedLinears)
