"""Memory that a step needs.

What a token costs is measured on the model at hand, by counting what one small forward pass keeps for its backward
pass, since it depends on the architecture, the adapter and its dropout. Knows bytes, not rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from extractft.training.step_engine import model_device, unwrapped

__all__ = [
    "RECOMPUTE",
    "Recompute",
    "can_recompute_cheap",
    "decoder_weights",
    "recomputed_bytes_per_token",
    "recomputing",
    "saved_bytes_per_token",
]

Recompute = Literal["nothing", "cheap", "layers"]
"""Activations that the backward pass recomputes instead of their being kept."""
RECOMPUTE: tuple[Recompute, ...] = get_args(Recompute)
"""From nothing to everything."""
PROBE_TOKENS = 32
PRODUCTS = frozenset({"aten.mm.default", "aten.addmm.default"})
NARROW = 64
"""Products that sum over no more numbers than this are made again rather than kept."""


def saved_bytes_per_token(model: nn.Module) -> int:
    """Bytes that a training step keeps for each input token until its backward pass, without checkpointing.

    One forward pass over `PROBE_TOKENS` tokens, up to the last hidden states; logits come on top. Storages are counted
    once and weights not at all. The random state is left as it was.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    seen: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = model_device(model)
    ids = torch.arange(PROBE_TOKENS, device=device).remainder(8)[None]
    was_training = model.training
    model.train()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        output = unwrapped(model).get_decoder()(input_ids=ids, use_cache=False)
    model.train(was_training)
    del output
    return max(1, sum(seen.values()) // PROBE_TOKENS)


def recomputed_bytes_per_token(model: nn.Module, saved: int, recompute: Recompute) -> int:
    """The same if activations are recomputed: what is kept, and as workspace one layer's share of all.

    Args:
        model: The model.
        saved: What `saved_bytes_per_token` says.
        recompute: What is recomputed.
    """
    if recompute == "nothing":
        return saved
    base = unwrapped(model)
    config = base.config.get_text_config()
    item = next(model.parameters()).element_size()
    kept = config.num_hidden_layers * config.hidden_size
    if recompute == "cheap":
        for module in base.get_decoder().modules():
            if isinstance(module, nn.Linear) and module.in_features > NARROW:
                kept += module.out_features
        # What attention gives, which is as wide as what its last projection takes.
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        kept += config.num_hidden_layers * config.num_attention_heads * size
    return int(min(saved, kept * item + saved // config.num_hidden_layers))


def decoder_weights(model: nn.Module) -> int:
    """Weights of the decoder's linear layers, the multiplications that a token takes in a forward pass."""
    linears = (module for module in unwrapped(model).get_decoder().modules() if isinstance(module, nn.Linear))
    return max(1, sum(module.weight.numel() for module in linears))


@contextmanager
def recomputing(model: nn.Module, what: Recompute) -> Iterator[None]:
    """Recompute activations in backward passes inside the block.

    The embeddings' output is made to require gradients: the base weights are frozen, and without this no adapter
    below a checkpoint would learn.

    Args:
        model: The model.
        what: `"nothing"`; `"cheap"`, everything but the products with large matrices and attention, which costs next
            to no time; or `"layers"`, all of it, which costs another forward pass.
    """
    base = unwrapped(model)
    if what == "nothing":
        yield
        return
    base.enable_input_require_grads()
    options: dict[str, Any] = {"use_reentrant": False}
    if what == "cheap":
        options["context_fn"] = functools.partial(create_selective_checkpoint_contexts, _keeps_products)
    if hasattr(base, "activation_checkpointing_enable"):
        base.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:  # the older name of the same method
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    try:
        yield
    finally:
        off = getattr(base, "activation_checkpointing_disable", None) or base.gradient_checkpointing_disable
        off()
        base.disable_input_require_grads()


def can_recompute_cheap(model: nn.Module) -> bool:
    """True if recomputing cheap operations gives this model's gradients, found by trying on a few tokens.

    Gradients are empty afterwards; mode and random state are as before.
    """
    device, was_training = model_device(model), model.training
    ids = torch.arange(1, 9, device=device)[None]
    found: list[list[Tensor]] = []
    model.train()
    try:
        for what in RECOMPUTE[:2]:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), recomputing(model, what):
                hidden = unwrapped(model).get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
                torch.autograd.backward([hidden.float().square().sum()])
            found.append([p.grad for p in model.parameters() if p.grad is not None])
            model.zero_grad(set_to_none=True)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    return all(float((a - b).norm()) <= 1e-3 * float(a.norm()) + 1e-6 for a, b in zip(*found, strict=True))


def _keeps_products(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    """True if an operation's result is kept: it is expensive, and not wider than it is expensive to make.

    Not the second half of an adapter, which is as wide as the layer's output and made from `r` numbers; and not the
    scores of attention where they are made one by one, which grow with the square of the length.
    """
    name = str(operation)
    expensive = name in PRODUCTS and args[-2].shape[-1] > NARROW
    keep = expensive or name.startswith("aten._scaled_dot_product_")
    return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE
