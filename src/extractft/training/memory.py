"""How much memory a step needs and how much there is.

What a token costs is measured on the model at hand, by counting what one small forward pass keeps for its backward
pass, since it depends on the architecture, the adapter and its dropout. Knows bytes, not rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from extractft.training.engine import model_device, unwrapped

__all__ = [
    "available_memory",
    "checkpointing",
    "is_out_of_memory",
    "recomputed_bytes_per_token",
    "saved_bytes_per_token",
]

PROBE_TOKENS = 32
CGROUP_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


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


def recomputed_bytes_per_token(model: nn.Module, saved: int) -> int:
    """The same with checkpointing: the input of every layer, and everything of the one layer being recomputed.

    Args:
        model: The model.
        saved: What `saved_bytes_per_token` says.
    """
    base = unwrapped(model)
    config = base.config.get_text_config()
    item = next(model.parameters()).element_size()
    return int(config.num_hidden_layers * config.hidden_size * item + saved // config.num_hidden_layers)


def available_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device`, as far as the system says."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return min(_system_memory(), *_cgroup_memory())


@contextmanager
def checkpointing(model: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Recompute activations in backward passes inside the block.

    The embeddings' output is made to require gradients: the base weights are frozen, and without this no adapter
    below a checkpoint would learn.
    """
    base = unwrapped(model)
    if not enabled:
        yield
        return
    base.enable_input_require_grads()
    options = {"use_reentrant": False}
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _system_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _cgroup_memory() -> list[int]:
    """What the container's limits leave; empty without limits."""
    left = [1 << 62]
    for limit, usage in CGROUP_LIMITS:
        try:
            left.append(int(Path(limit).read_text()) - int(Path(usage).read_text()))
        except (OSError, ValueError):
            continue
    return left
