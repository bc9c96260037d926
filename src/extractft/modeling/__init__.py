"""Base model and tokenizer by name or path, device and dtype by hardware, LoRA attached or loaded.

Knows weights and where they come from; knows no text, no prompt, no schema and no training loop.
"""

from __future__ import annotations

from extractft.modeling.hardware import choose_device, choose_dtype
from extractft.modeling.loading import load_model, load_tokenizer
from extractft.modeling.lora import attach_lora, load_adapter, merge_adapter, trainable_parameters
from extractft.modeling.memory import available_memory, is_out_of_memory
from extractft.modeling.source import BaseModelRef, Source, resolve_base_model
from extractft.modeling.weights import weights_digest

__all__ = [
    "BaseModelRef",
    "Source",
    "attach_lora",
    "available_memory",
    "choose_device",
    "choose_dtype",
    "is_out_of_memory",
    "load_adapter",
    "load_model",
    "load_tokenizer",
    "merge_adapter",
    "resolve_base_model",
    "trainable_parameters",
    "weights_digest",
]
