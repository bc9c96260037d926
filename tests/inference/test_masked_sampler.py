from __future__ import annotations

import math

import pytest
import torch

from extractft.constraints import TokenMasks
from extractft.inference.masked_sampler import UnpackedMasks, decide


class FixedMatcher:
    def __init__(self, ids: set[int]) -> None:
        self.ids = ids

    def fill_mask(self, mask: bytearray | memoryview) -> None:
        for byte in range(len(mask)):
            mask[byte] = sum(1 << bit for bit in range(8) if 8 * byte + bit in self.ids)


@pytest.mark.parametrize("vocab_size", [8, 31, 32, 33, 264, 1000])
def test_masks_are_unpacked_bit_by_bit(vocab_size: int) -> None:
    generator = torch.Generator().manual_seed(vocab_size)
    masks = TokenMasks(3, vocab_size)
    expected = torch.rand(3, vocab_size, generator=generator) < 0.5
    for row in range(3):
        masks.fill(row, FixedMatcher(set(expected[row].nonzero()[:, 0].tolist())))  # type: ignore[arg-type]
    unpacked = UnpackedMasks(masks, torch.device("cpu"))
    assert torch.equal(unpacked.allowed(3), expected)
    assert torch.equal(unpacked.allowed(2), expected[:2])


def test_decisions_agree_with_softmax_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 97, generator=generator) * 3
    allowed = torch.rand(50, 97, generator=generator) < 0.3
    allowed[:, 5] = True
    steps = decide(logits, allowed, num_alternatives=4)
    for row, step in enumerate(steps):
        assert step is not None
        raw = torch.log_softmax(logits[row].double(), dim=-1)
        ids = allowed[row].nonzero()[:, 0].tolist()
        inside = {i: float(raw[i] - torch.logsumexp(raw[ids], 0)) for i in ids}
        ranked = sorted(ids, key=lambda i: -float(raw[i]))
        assert step.token_id == ranked[0]
        assert step.logprob == pytest.approx(float(raw[ranked[0]]), abs=1e-5)
        assert step.constrained_logprob == pytest.approx(inside[ranked[0]], abs=1e-5)
        assert [i for i, _ in step.alternatives] == ranked[:4]
        assert [p for _, p in step.alternatives] == pytest.approx([inside[i] for i in ranked[:4]], abs=1e-5)


def test_a_single_choice_is_forced() -> None:
    allowed = torch.zeros(1, 10, dtype=torch.bool)
    allowed[0, 7] = True
    (step,) = decide(torch.arange(10.0)[None], allowed, num_alternatives=3)
    assert step is not None
    assert (step.token_id, step.forced, step.constrained_logprob, step.alternatives) == (7, True, 0.0, ())
    assert step.logprob == pytest.approx(float(torch.log_softmax(torch.arange(10.0), 0)[7]))


def test_equal_logits_go_to_the_lowest_id() -> None:
    allowed = torch.ones(1, 300, dtype=torch.bool)
    allowed[0, :3] = False
    (step,) = decide(torch.zeros(1, 300), allowed, num_alternatives=0)
    assert step is not None
    assert step.token_id == 3
    assert step.alternatives == ()


def test_fewer_choices_than_alternatives_asked_for() -> None:
    allowed = torch.zeros(1, 10, dtype=torch.bool)
    allowed[0, [2, 4]] = True
    (step,) = decide(torch.arange(10.0)[None], allowed, num_alternatives=50)
    assert step is not None
    assert [i for i, _ in step.alternatives] == [4, 2]
    assert sum(math.exp(p) for _, p in step.alternatives) == pytest.approx(1)


def test_rows_without_numbers_are_told_apart() -> None:
    logits = torch.zeros(3, 10)
    logits[1, 4] = float("nan")
    allowed = torch.ones(3, 10, dtype=torch.bool)
    allowed[2] = False
    steps = decide(logits, allowed, num_alternatives=2)
    assert steps[0] is not None
    assert steps[1] is None
    assert steps[2] is None


def test_half_precision_logits_are_scored_in_single_precision() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
    (step,) = decide(logits, torch.ones(1, 3, dtype=torch.bool), num_alternatives=1)
    assert step is not None
    assert step.logprob == pytest.approx(float(torch.log_softmax(logits.float(), -1)[0, 2]))
