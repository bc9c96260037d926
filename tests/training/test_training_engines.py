"""Every fast way to compute a step gives the loss and the gradients of the slow, obvious one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from extractft.config import LoRAConfig
from extractft.errors import TrainingError
from extractft.modeling import attach_lora, is_out_of_memory, load_model, resolve_base_model
from extractft.training import TrainingRow, attention
from extractft.training.attention import PackLayout
from extractft.training.memory import can_recompute_cheap, recomputing, saved_bytes_per_token
from extractft.training.packed_batches import PackedEngine, packed_engine, split_into_packs
from extractft.training.padded_batches import PaddedEngine
from extractft.training.plan import step_with_retry
from extractft.training.step_engine import label_count, mean_loss
from extractft.training.training_rows import shared_prefix_length

PACKABLE = ("qwen3", "llama", "gemma3", "granite")


def gradients(model: Any, engine: Any, rows: Any) -> tuple[float, dict[str, torch.Tensor]]:
    model.train()
    model.zero_grad(set_to_none=True)
    loss = engine.backward(rows, labels=label_count(rows))
    assert not loss.requires_grad
    return float(loss), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_equal_steps(model: Any, rows: Any, *, max_rows: int, max_tokens: int = 1 << 20) -> None:
    expected_loss, expected = gradients(model, PaddedEngine(model, batch_size=3), rows)
    engine = packed_engine(model, max_rows=max_rows, max_tokens=max_tokens)
    assert isinstance(engine, PackedEngine), engine
    loss, found = gradients(model, engine, rows)
    assert loss == pytest.approx(expected_loss, rel=1e-5, abs=1e-6)
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert expected.keys() == found.keys() == trainable
    assert_close(found, expected)


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], rel: float = 1e-4) -> None:
    """Gradients are equal one by one; those that are zero but for rounding (one key to attend to) are near zero."""
    rounding = 1e-6 * float(torch.stack([gradient.norm() for gradient in expected.values()]).norm())
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) <= rel * float(gradient.norm()) + rounding, name


def test_padded_loss_is_weighted_by_tokens(adapted: Any, make_rows: Any) -> None:
    """Written out by hand, one row at a time, whatever the micro-batches."""
    model, rows = adapted(), make_rows(5)
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row.ids])).logits[0]
        for place, target in enumerate(row.ids):
            if place >= len(row.prompt_ids):
                total += float(F.cross_entropy(logits[place - 1], torch.tensor(target)))
                count += 1
    for batch_size in (1, 2, 5):
        loss, _ = gradients(model, PaddedEngine(model, batch_size=batch_size), rows)
        assert loss == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("family", PACKABLE)
@pytest.mark.parametrize(
    ("count", "prefix", "max_rows", "max_tokens"),
    [
        pytest.param(5, 25, 8, 1 << 20, id="one pass"),
        pytest.param(5, 25, 2, 1 << 20, id="prefix apart"),
        pytest.param(4, 25, 8, 30, id="rows longer than the budget"),
        pytest.param(5, 0, 8, 1 << 20, id="no prefix"),
        pytest.param(5, 0, 2, 1 << 20, id="no prefix, several passes"),
        pytest.param(1, 25, 8, 1 << 20, id="one row"),
    ],
)
def test_packed_is_padded(
    adapted: Any, make_rows: Any, family: str, count: int, prefix: int, max_rows: int, max_tokens: int
) -> None:
    assert_equal_steps(adapted(family), make_rows(count, prefix=prefix), max_rows=max_rows, max_tokens=max_tokens)


@pytest.fixture(scope="module")
def model_of(adapted: Any) -> Any:
    """One model of each family for all examples."""
    return functools.cache(adapted)


@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
@given(
    family=st.sampled_from(PACKABLE),
    prefix=st.lists(st.integers(0, 255), max_size=30),
    bodies=st.lists(
        st.tuples(
            st.lists(st.integers(0, 255), min_size=1, max_size=25),
            st.lists(st.integers(0, 255), min_size=1, max_size=15),
        ),
        min_size=1,
        max_size=6,
    ),
    max_rows=st.integers(1, 6),
    max_tokens=st.integers(1, 120),
)
def test_packed_is_padded_for_any_rows(
    model_of: Any, family: str, prefix: Any, bodies: Any, max_rows: int, max_tokens: int
) -> None:
    rows = [TrainingRow((*prefix, *prompt), tuple(completion)) for prompt, completion in bodies]
    assert_equal_steps(model_of(family), rows, max_rows=max_rows, max_tokens=max_tokens)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models' products count as large."""
    monkeypatch.setattr("extractft.training.memory.NARROW", 16)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("recompute", ["cheap", "layers"])
@pytest.mark.parametrize("max_rows", [2, 8])
@pytest.mark.parametrize("family", ["qwen3", "gemma3"])
def test_packed_is_padded_when_recomputing(
    adapted: Any, make_rows: Any, family: str, max_rows: int, recompute: Any
) -> None:
    model, rows = adapted(family), make_rows(5)
    _, expected = gradients(model, PackedEngine(model, max_rows=max_rows, max_tokens=1 << 20), rows)
    with recomputing(model, recompute):
        assert_equal_steps(model, rows, max_rows=max_rows)
    _, after = gradients(model, PackedEngine(model, max_rows=max_rows, max_tokens=1 << 20), rows)
    assert all(torch.equal(expected[name], after[name]) for name in expected)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("recompute", ["cheap", "layers"])
def test_recomputing_repeats_the_dropout(adapted: Any, make_rows: Any, recompute: Any) -> None:
    model, rows = adapted(dropout=0.3), make_rows(5)
    engine = PackedEngine(model, max_rows=2, max_tokens=1 << 20)
    torch.manual_seed(3)
    loss, expected = gradients(model, engine, rows)
    with recomputing(model, recompute):
        torch.manual_seed(3)
        loss_again, found = gradients(model, engine, rows)
    assert loss_again == pytest.approx(loss, rel=1e-6)
    assert_close(found, expected)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", [*PACKABLE, "lfm2"])
def test_what_is_cheap_can_be_recomputed(adapted: Any, family: str) -> None:
    model = adapted(family, dropout=0.3)
    model.train()
    state = torch.get_rng_state()
    assert can_recompute_cheap(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_whose_cheap_part_comes_out_differently_is_found(adapted: Any) -> None:
    """Here the number of calls decides, and recomputing calls again."""
    model = adapted()
    norm = model.get_base_model().model.layers[0].mlp
    inner, calls = norm.forward, 0

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return inner(*args, **kwargs) * calls

    norm.forward = forward
    assert not can_recompute_cheap(model)


def test_logits_in_chunks_change_nothing(adapted: Any, make_rows: Any) -> None:
    model, rows = adapted(), make_rows(6)
    engine = PackedEngine(model, max_rows=6, max_tokens=1 << 20)
    loss, expected = gradients(model, engine, rows)
    engine._chunk = 3
    loss_again, found = gradients(model, engine, rows)
    assert loss_again == pytest.approx(loss, rel=1e-6)
    assert_close(found, expected, rel=1e-5)


def test_dropout_trains_and_scoring_drops_nothing(adapted: Any, make_rows: Any) -> None:
    model, rows = adapted(dropout=0.5), make_rows(4)
    engine = PackedEngine(model, max_rows=4, max_tokens=1 << 20)
    losses = {gradients(model, engine, rows)[0] for _ in range(3)}
    assert len(losses) == 3
    model.eval()
    assert mean_loss(engine, rows, chunk=2) == pytest.approx(
        mean_loss(PaddedEngine(model, batch_size=4), rows, chunk=4), rel=1e-5
    )


def test_attention_is_the_models_own_again_afterwards(adapted: Any, make_rows: Any) -> None:
    model, rows = adapted(), make_rows(3)
    before = model.config._attn_implementation
    logits = model(input_ids=torch.tensor([rows[0].ids])).logits
    gradients(model, PackedEngine(model, max_rows=8, max_tokens=1 << 20), rows)
    assert model.config._attn_implementation == before
    assert torch.equal(model(input_ids=torch.tensor([rows[0].ids])).logits, logits)


@pytest.mark.parametrize(("family", "why"), [("lfm2", "independent"), ("gemma2", "softcap")])
def test_what_packs_cannot_do_is_found_out(adapted: Any, family: str, why: str) -> None:
    """A convolution carries one row's tokens into the next; capped scores are another attention."""
    model = adapted(family).train()
    before = model.config._attn_implementation
    reason = packed_engine(model, max_rows=2, max_tokens=100)
    assert isinstance(reason, str)
    assert why in reason
    assert model.training
    assert model.config._attn_implementation == before


def test_half_precision_is_packed(adapted: Any, make_rows: Any) -> None:
    model, rows = adapted(), make_rows(4)
    for name, parameter in model.named_parameters():
        if "lora" not in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    engine = packed_engine(model, max_rows=2, max_tokens=1 << 20)
    assert isinstance(engine, PackedEngine), engine
    loss, _ = gradients(model, engine, rows)
    expected, _ = gradients(model, PaddedEngine(model, batch_size=2), rows)
    assert loss == pytest.approx(expected, rel=2e-2)


def test_shared_prefix_leaves_each_row_a_prompt_token() -> None:
    assert shared_prefix_length([TrainingRow((1, 2, 3), (9,)), TrainingRow((1, 2, 4), (9,))]) == 2
    assert shared_prefix_length([TrainingRow((1, 2, 3), (9,)), TrainingRow((1, 2, 3), (8,))]) == 2
    assert shared_prefix_length([TrainingRow((1, 2), (9,)), TrainingRow((1, 2, 3), (8,))]) == 1
    assert shared_prefix_length([TrainingRow((1,), (9,)), TrainingRow((2, 3), (8,))]) == 0


@given(
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=20),
    max_rows=st.integers(1, 5),
    max_tokens=st.integers(1, 100),
)
def test_packs_keep_rows_and_limits(lengths: list[int], max_rows: int, max_tokens: int) -> None:
    rows = [TrainingRow((0,) * (length - 1), (i,)) for i, length in enumerate(lengths)]
    packs = split_into_packs(rows, shared=1, max_rows=max_rows, max_tokens=max_tokens)
    assert sorted(map(id, (row for pack in packs for row in pack))) == sorted(map(id, rows))
    for pack in packs:
        assert 1 <= len(pack) <= max_rows
        assert len(pack) == 1 or 1 + sum(len(row) - 1 for row in pack) <= max_tokens


class Starved:
    """An engine that has memory for `enough` rows at a time."""

    name = "starved"

    def __init__(self, size: int, enough: int) -> None:
        self.size, self.enough, self.tried = size, enough, []

    def backward(self, rows: Any, *, labels: int) -> torch.Tensor:
        self.tried.append(self.size)
        if self.size > self.enough:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(1.0)

    def loss_sum(self, rows: Any) -> torch.Tensor:
        raise NotImplementedError

    def halve(self) -> bool:
        self.size //= 2
        return self.size > 0


def test_out_of_memory_goes_on_smaller_and_forgets_half_a_step(adapted: Any, make_rows: Any) -> None:
    model, rows, engine = adapted(), make_rows(2), Starved(8, 2)
    next(p for p in model.parameters() if p.requires_grad).grad = torch.ones(4, 48)
    assert float(step_with_retry(engine, model, rows, labels=1)) == 1.0
    assert engine.tried == [8, 4, 2]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_out_of_memory_for_one_row_names_the_settings(adapted: Any, make_rows: Any) -> None:
    with pytest.raises(TrainingError, match="one row") as caught:
        step_with_retry(Starved(2, 0), adapted(), make_rows(2), labels=1)
    assert "gradient_checkpointing" in "".join(caught.value.__notes__)


def test_engines_halve_down_to_one_row(adapted: Any) -> None:
    for engine in (PaddedEngine(adapted(), batch_size=4), PackedEngine(adapted(), max_rows=4, max_tokens=100)):
        assert [engine.halve() for _ in range(3)] == [True, True, False]


def test_only_failed_allocations_are_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_cost_of_a_token_grows_with_dropout_and_leaves_no_trace(adapted: Any) -> None:
    plain, dropping = adapted(), adapted(dropout=0.1)
    state = torch.get_rng_state()
    assert 0 < saved_bytes_per_token(plain) < saved_bytes_per_token(dropping)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in dropping.parameters())


def test_recomputing_saves_memory(adapted: Any, make_rows: Any) -> None:
    """What is kept for the backward pass really shrinks, and the prefix run apart does not bring it back."""
    model, rows = adapted(), make_rows(4)

    def saved(recompute: Any) -> int:
        sizes: dict[int, int] = {}

        def count(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        hooks: Callable[..., Any] = torch.autograd.graph.saved_tensors_hooks
        model.train()
        with recomputing(model, recompute), hooks(count, lambda tensor: tensor):
            PackedEngine(model, max_rows=2, max_tokens=1 << 20)._run_prefix(rows[0].prompt_ids[:20])
        return sum(sizes.values())

    assert saved("layers") < saved("nothing") / 3


# ------------------------------------------------------------------------------------------------- the probe


DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def in_type(model: Any, dtype: torch.dtype) -> Any:
    """Base weights in `dtype` and the adapter in float32, as they are trained."""
    for name, parameter in model.named_parameters():
        if "lora" not in name:
            parameter.data = parameter.data.to(dtype)
    return model


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", PACKABLE)
def test_a_right_pack_is_right_in_every_number_type(adapted: Any, family: str, dtype: torch.dtype) -> None:
    model = in_type(adapted(family, dropout=0.1), dtype).train()
    types = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert isinstance(packed_engine(model, max_rows=2, max_tokens=100), PackedEngine)
    assert {name: parameter.dtype for name, parameter in model.named_parameters()} == types
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_real_weights_are_packed_in_every_number_type(name: str) -> None:
    base = load_model(resolve_base_model("smollm2-135m"), device="cpu", dtype=name)
    assert isinstance(packed_engine(attach_lora(base, LoRAConfig(), seed=0), max_rows=2, max_tokens=100), PackedEngine)


def off_by_one(patch: pytest.MonkeyPatch) -> None:
    """Rows are one further from their prefix than they should be."""
    made = PackLayout.position_ids

    def positions(layout: PackLayout, device: torch.device) -> torch.Tensor:
        found = made(layout, device)
        return found + (found >= layout.prefix_length)

    patch.setattr(PackLayout, "position_ids", positions)


def neighbour_seen(patch: pytest.MonkeyPatch) -> None:
    """The rows of a pack are taken for one."""
    made = PackLayout.lengths.fget  # type: ignore[attr-defined]

    def lengths(layout: PackLayout) -> tuple[int, ...]:
        prefix = made(layout)[: len(made(layout)) - len(layout.row_lengths)]
        return (*prefix, sum(layout.row_lengths)) if layout.row_lengths else prefix

    patch.setattr(PackLayout, "lengths", property(lengths))


def window_ignored(patch: pytest.MonkeyPatch) -> None:
    mask = PackLayout.mask
    patch.setattr(PackLayout, "mask", lambda layout, prefix, length, _, like: mask(layout, prefix, length, None, like))


def scaled(patch: pytest.MonkeyPatch) -> None:
    """Scores are one in a thousand too large."""
    attend = attention._attend
    patch.setattr(attention, "_attend", lambda q, *others: attend(q * 1.001, *others))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("family", "spoil"),
    [
        pytest.param(family, spoil, id=f"{family}-{spoil.__name__}")
        for spoil, families in (
            (off_by_one, ("qwen3", "llama", "gemma3")),
            (neighbour_seen, ("qwen3", "llama", "gemma3")),
            (scaled, ("qwen3", "llama", "gemma3")),
            (window_ignored, ("gemma3",)),
        )
        for family in families
    ],
)
def test_a_wrong_pack_is_refused_in_every_number_type(
    adapted: Any, family: str, spoil: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = in_type(adapted(family), dtype)
    with monkeypatch.context() as patch:
        spoil(patch)
        reason = packed_engine(model, max_rows=2, max_tokens=100)
    assert isinstance(reason, str)
    assert "expected a loss of" in reason or "not independent" in reason


def test_too_little_memory_to_try_says_nothing_of_the_model(adapted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PaddedEngine, "loss_sum", fails)
    model = adapted().train()
    with pytest.raises(TrainingError, match="expected memory for a pass over two short rows"):
        packed_engine(model, max_rows=2, max_tokens=100)
    assert model.training
