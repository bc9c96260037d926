from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from extractft.inference.cpu import transposed_linears as linears
from extractft.inference.cpu.transposed_linears import MOST_ROWS, TransposedLinears


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.with_bias = nn.Linear(24, 40)
        self.without = nn.Linear(40, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.without(torch.tanh(self.with_bias(x)))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny matrices are not tried out: take the other way for every number of rows that it is meant for."""
    monkeypatch.setattr(TransposedLinears, "_tried", lambda *_: frozenset(range(1, MOST_ROWS + 1)))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "shape", [(1, 24), (2, 24), (3, 24), (4, 24), (5, 24), (1, 1, 24), (1, 4, 24), (2, 2, 24), (24,)]
)
def test_both_ways_give_the_same(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net, few = Net(), None
    rows = torch.randn(*shape)
    few = TransposedLinears(net)
    with torch.no_grad():
        expected = net(rows)
        with few.installed():
            found = net(rows)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("always")
def test_the_other_way_is_really_taken_and_the_model_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    few = TransposedLinears(net)
    counts: list[int] = []
    inner = linears._transposed

    def counting(rows: torch.Tensor, *others: Any) -> torch.Tensor:
        counts.append(len(rows))
        return inner(rows, *others)

    monkeypatch.setattr(linears, "_transposed", counting)
    with torch.no_grad(), few.installed():
        net(torch.ones(2, 24))
        net(torch.ones(MOST_ROWS + 1, 24))
    assert counts == [2, 2]
    assert "forward" not in vars(net.with_bias)
    with pytest.raises(RuntimeError, match="inside"), few.installed():
        raise RuntimeError("inside")
    assert "forward" not in vars(net.without)


def test_layers_that_are_no_plain_ones_are_left_alone() -> None:
    class Own(nn.Linear):
        pass

    assert TransposedLinears(nn.Sequential(Own(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16)))._layers == []


def test_the_faster_way_is_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    monkeypatch.setattr(linears, "_TRIED_BYTES", 8)
    monkeypatch.setattr(linears, "_other_is_faster", lambda weights, count: len(weights) == 1 and count == 3)
    few = TransposedLinears(net)
    assert few._ways() == {(40, 24): {3}, (8, 40): {3}}
    monkeypatch.setattr(linears, "_other_is_faster", lambda *_: False)
    assert few._ways() == {(40, 24): {3}, (8, 40): {3}}  # tried once
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert few._ways() == {(40, 24): frozenset(), (8, 40): frozenset()}


def test_a_trial_times_both_ways() -> None:
    weights = [torch.randn(64, 64) for _ in range(4)]
    assert linears._other_is_faster(weights, 2) in (True, False)
    rows = torch.randn(3, 64)
    torch.testing.assert_close(linears._transposed(rows, weights[0], None), F.linear(rows, weights[0]))
