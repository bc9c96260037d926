"""The fast way to compute a step: rows behind one shared prefix, no padding, logits only where there are labels.

All rows of a pass stand in one sequence, `[prefix | row 1 | row 2 | ...]`. If a step takes more than one pass, the
prefix is run once by itself: the passes take its keys and values as given, their gradients add up there, and the
prefix's own backward pass comes last. The gradients are those of the padded engine.

With dropout the rows of a step share the prefix's mask; that changes the noise, not the expectation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractft.errors import TrainingError
from extractft.modeling import is_out_of_memory, ordinary_ids, probe_tolerance, probing
from extractft.training.attention import PackLayout, packed_attention_enabled
from extractft.training.padded_batches import PaddedEngine
from extractft.training.step_engine import model_device, unwrapped
from extractft.training.training_rows import TrainingRow, partition_by_tokens, shared_prefix_length

__all__ = ["PackedEngine", "packed_engine", "split_into_packs"]

LOGIT_BYTES = 64 << 20
"""Logits of one chunk of labels, in float32; their gradients and the softmax take the same again."""
Prefix = dict[int, tuple[Tensor, Tensor]]


class PackedEngine:
    """Packs behind a shared prefix.

    Made by `packed_engine`, which finds out whether and how a model can be packed.

    Args:
        model: A causal LM, wrapped by PEFT or not.
        max_rows: Rows in one pass at most.
        max_tokens: Tokens in one pass at most, the prefix included; one row alone may have more.
        plain_head: Whether the logits are the output layer applied to the last hidden states and nothing else; then
            they are made in chunks.
    """

    name = "packed"

    def __init__(self, model: nn.Module, *, max_rows: int, max_tokens: int, plain_head: bool = True) -> None:
        self.model = model
        self.base = unwrapped(model)
        self.max_rows = max_rows
        self.max_tokens = max_tokens
        self.plain_head = plain_head
        self._head = self.base.get_output_embeddings()
        self._chunk = max(1, LOGIT_BYTES // (4 * self.base.config.get_text_config().vocab_size))

    def backward(self, rows: Sequence[TrainingRow], *, labels: int) -> Tensor:
        """See `StepEngine.backward`."""
        return self._run(rows, 1 / labels)

    def loss_sum(self, rows: Sequence[TrainingRow]) -> Tensor:
        """See `StepEngine.loss_sum`."""
        with torch.no_grad():
            return self._run(rows, 1.0)

    def halve(self) -> bool:
        """Work on half as many tokens at a time; `False` if a pass has one row already."""
        if self.max_rows == 1:
            return False
        self.max_rows = max(1, self.max_rows // 2)
        self.max_tokens //= 2
        return True

    def _run(self, rows: Sequence[TrainingRow], scale: float) -> Tensor:
        """The scaled loss over all rows, detached; gradients are added up where they are on."""
        shared = shared_prefix_length(rows)
        packs = split_into_packs(rows, shared=shared, max_rows=self.max_rows, max_tokens=self.max_tokens)
        with packed_attention_enabled(self.base):
            if len(packs) == 1 or not shared:
                return torch.stack([self._pass(pack, shared, None, scale) for pack in packs]).sum()
            recorded = self._run_prefix(rows[0].prompt_ids[:shared])
            carried = {name: (_leaf(key), _leaf(value)) for name, (key, value) in recorded.items()}
            losses = [self._pass(pack, shared, carried, scale) for pack in packs]
            _backward_prefix(recorded, carried)
        return torch.stack(losses).sum()

    def _pass(self, rows: Sequence[TrainingRow], shared: int, carried: Prefix | None, scale: float) -> Tensor:
        """Forward and, where gradients are on, backward over one pack; the scaled loss, detached."""
        layout = PackLayout(
            prefix_length=shared,
            row_lengths=tuple(len(row) - 1 - shared for row in rows),
            carried=carried,
        )
        ids = [] if carried is not None else list(rows[0].prompt_ids[:shared])
        places: list[int] = []
        for row in rows:
            first = len(ids) + len(row.prompt_ids) - 1 - shared
            places.extend(range(first, first + len(row.completion_ids)))
            ids.extend(row.ids[shared:-1])
        device = model_device(self.model)
        input_ids, labelled = torch.tensor([ids], device=device), torch.tensor(places, device=device)
        targets = torch.tensor([token for row in rows for token in row.completion_ids], device=device)
        if self.plain_head:
            return self._chunked_loss(self._decode(input_ids, layout)[0, labelled], targets, scale)
        logits = self._forward(self.base, input_ids, layout, logits_to_keep=labelled).logits[0]
        return _backward(F.cross_entropy(logits.float(), targets, reduction="sum") * scale)

    def _forward(self, module: Any, input_ids: Tensor, layout: PackLayout, **options: Any) -> Any:
        positions = layout.position_ids(input_ids.device)
        return module(input_ids=input_ids, position_ids=positions, use_cache=False, packing=layout, **options)

    def _decode(self, input_ids: Tensor, layout: PackLayout) -> Tensor:
        """Hidden states after the last layer and norm, shape `[1, tokens, hidden size]`."""
        hidden: Tensor = self._forward(self.base.get_decoder(), input_ids, layout).last_hidden_state
        return hidden

    def _run_prefix(self, ids: Sequence[int]) -> Prefix:
        """Keys and values of the prefix in every attention module, with their graph."""
        layout = PackLayout(prefix_length=len(ids), row_lengths=(), recorded={})
        self._decode(torch.tensor([list(ids)], device=model_device(self.model)), layout)
        return layout.recorded or {}

    def _chunked_loss(self, hidden: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Scaled sum of the cross-entropy; each chunk's logits are gone before the next one's are made."""
        leaf = _leaf(hidden)
        losses = [
            _backward(F.cross_entropy(self._head(part).float(), labels, reduction="sum") * scale)
            for part, labels in zip(torch.split(leaf, self._chunk), torch.split(targets, self._chunk), strict=True)
        ]
        if hidden.requires_grad:
            torch.autograd.backward([hidden], [leaf.grad])
        return torch.stack(losses).sum()


def split_into_packs(
    rows: Sequence[TrainingRow], *, shared: int, max_rows: int, max_tokens: int
) -> list[list[TrainingRow]]:
    """Rows in as few packs as they fit into, of about as many tokens each.

    A pack has at most `max_rows` rows and `max_tokens` tokens, the prefix counted once in each; a row that is too long
    for `max_tokens` gets a pack of its own.
    """
    room = max_tokens - shared
    alone = [[row] for row in rows if len(row) - shared > room]
    others = [row for row in rows if len(row) - shared <= room]
    tokens = sum(len(row) - shared for row in others)
    count = max(-(-len(others) // max_rows), -(-tokens // room)) if others else 0
    packs = partition_by_tokens(others, count, shared=shared, most=max_rows)
    while any(sum(len(row) - shared for row in pack) > room for pack in packs):
        count += 1
        packs = partition_by_tokens(others, count, shared=shared, most=max_rows)
    return alone + packs


def packed_engine(model: Any, *, max_rows: int, max_tokens: int) -> PackedEngine | str:
    """An engine for this model, or the reason why there is none.

    Found by trying: two short rows have to give the same losses in one pack, and in two with the prefix run apart, as
    they give padded. The model's mode is left as it was, and so is the random state, since nothing is dropped out in
    evaluation mode.

    Raises:
        TrainingError: Memory does not suffice to try.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), probing(model):
            found = _plain_head(model)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):  # says nothing of the model
            raise TrainingError("expected memory for a pass over two short rows, found less").hint(
                "Take a smaller base model, or free memory that other processes hold."
            ) from error
        return f"{type(error).__name__}: {error}"
    finally:
        model.train(training)
    if isinstance(found, str):
        return found
    return PackedEngine(model, max_rows=max_rows, max_tokens=max_tokens, plain_head=found)


def _plain_head(model: Any) -> bool | str:
    """The value of `plain_head` with the losses that padded rows give; the reason if neither gives them."""
    rows = _probe_rows(model)
    expected = PaddedEngine(model, batch_size=2).loss_sum(rows)
    if not torch.isfinite(expected):
        return "its losses are not finite"
    if _rows_see_each_other(model):
        return "rows in a pack are not independent"
    tolerance = min(2e-2, probe_tolerance(model))
    found: list[Tensor] = []
    for plain_head in (True, False):
        engines = (PackedEngine(model, max_rows=n, max_tokens=1 << 30, plain_head=plain_head) for n in (2, 1))
        found = [engine.loss_sum(rows) for engine in engines]
        if all(torch.allclose(loss, expected, rtol=tolerance) for loss in found):
            return plain_head
    return f"expected a loss of {float(expected):.9g}, found {', '.join(f'{float(loss):.9g}' for loss in found)}"


def _probe_rows(model: Any) -> tuple[TrainingRow, TrainingRow]:
    """Two rows of different lengths with a shared prefix."""
    prefix, one, other = ordinary_ids(model, 6), ordinary_ids(model, 6, seed=1), ordinary_ids(model, 6, seed=2)
    return (
        TrainingRow(prompt_ids=(*prefix, *one[:3]), completion_ids=tuple(one[3:])),
        TrainingRow(prompt_ids=(*prefix, *other[:1]), completion_ids=tuple(other[1:])),
    )


def _rows_see_each_other(model: Any) -> bool:
    """True if another first row changes the hidden states of the second, as recurrent layers and convolutions do."""
    engine = PackedEngine(model, max_rows=2, max_tokens=1 << 30)
    prefix, last = ordinary_ids(model, 3), ordinary_ids(model, 4, seed=3)
    hidden = []
    for seed in (1, 2):
        ids = torch.tensor([[*prefix, *ordinary_ids(model, 4, seed=seed), *last]], device=model_device(model))
        with packed_attention_enabled(engine.base):
            hidden.append(engine._decode(ids, PackLayout(prefix_length=3, row_lengths=(4, 4)))[0, -4:])
    tolerance = min(1e-3, probe_tolerance(model)) * float(hidden[0].abs().max())
    return not torch.allclose(hidden[0], hidden[1], rtol=0, atol=tolerance)


def _backward(loss: Tensor) -> Tensor:
    """Run the backward pass where gradients are on, and give the loss without its graph."""
    if loss.requires_grad:
        torch.autograd.backward([loss])
    return loss.detach()


def _leaf(tensor: Tensor) -> Tensor:
    """The same values, cut off the graph but collecting gradients if the original would."""
    return tensor.detach().requires_grad_(tensor.requires_grad)


def _backward_prefix(recorded: Prefix, leaves: Prefix) -> None:
    """Send the gradients that the packs have left on the prefix's keys and values through the prefix."""
    pairs = [
        (tensor, leaf.grad)
        for name in recorded
        for tensor, leaf in zip(recorded[name], leaves[name], strict=True)
        if leaf.grad is not None
    ]
    if pairs:
        torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])
