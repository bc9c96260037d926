"""Base model and tokenizer by name or path, device and dtype by hardware, LoRA attached or loaded.

Knows weights and where they come from; knows no text, no prompt, no schema and no training loop.
"""

from __future__ import annotations

from extractft.modeling.adapter_files import ADAPTER_CONFIG_FILE, ADAPTER_FILE, read_adapter_weights
from extractft.modeling.base_model import BaseModelRef, ModelSource, locate_base_model, resolve_base_model
from extractft.modeling.device_memory import available_memory, is_out_of_memory
from extractft.modeling.hardware import choose_device, choose_dtype
from extractft.modeling.lora import attach_lora, count_parameters, load_adapter, merge_adapter
from extractft.modeling.model_loading import load_model, load_tokenizer
from extractft.modeling.probing import ordinary_ids, probe_tolerance, probing
from extractft.modeling.weight_digests import weights_digest

__all__ = [
    "ADAPTER_CONFIG_FILE",
    "ADAPTER_FILE",
    "BaseModelRef",
    "ModelSource",
    "attach_lora",
    "available_memory",
    "choose_device",
    "choose_dtype",
    "count_parameters",
    "is_out_of_memory",
    "load_adapter",
    "load_model",
    "load_tokenizer",
    "locate_base_model",
    "merge_adapter",
    "ordinary_ids",
    "probe_tolerance",
    "probing",
    "read_adapter_weights",
    "resolve_base_model",
    "weights_digest",
]
