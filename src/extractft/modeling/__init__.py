"""Base model and tokenizer by name or path, device and dtype by hardware, LoRA attached or loaded.

Knows weights and where they come from; knows no text, no prompt, no schema and no training loop. Names are loaded when
they are asked for: what only reads about models, such as a manifest, loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.modeling.adapter_files import read_adapter_weights
    from extractft.modeling.base_model import locate_base_model, resolve_base_model
    from extractft.modeling.base_model_ref import ADAPTER_CONFIG_FILE, ADAPTER_FILE, BaseModelRef, ModelSource
    from extractft.modeling.device_memory import available_memory, is_out_of_memory
    from extractft.modeling.hardware import choose_device, choose_dtype
    from extractft.modeling.lora import attach_lora, count_parameters, load_adapter, merge_adapter
    from extractft.modeling.machine_report import MachineReport, machine_report
    from extractft.modeling.model_loading import load_model, load_tokenizer
    from extractft.modeling.model_probe import ordinary_ids, probe_tolerance, probing
    from extractft.modeling.shared_models import is_shared, is_sharing, load_shared_model, sharing_base_models
    from extractft.modeling.weight_digests import weights_digest

_MODULES = {
    "ADAPTER_CONFIG_FILE": "base_model_ref",
    "ADAPTER_FILE": "base_model_ref",
    "BaseModelRef": "base_model_ref",
    "MachineReport": "machine_report",
    "ModelSource": "base_model_ref",
    "attach_lora": "lora",
    "available_memory": "device_memory",
    "choose_device": "hardware",
    "choose_dtype": "hardware",
    "count_parameters": "lora",
    "is_out_of_memory": "device_memory",
    "is_shared": "shared_models",
    "is_sharing": "shared_models",
    "load_adapter": "lora",
    "load_model": "model_loading",
    "load_shared_model": "shared_models",
    "load_tokenizer": "model_loading",
    "locate_base_model": "base_model",
    "machine_report": "machine_report",
    "merge_adapter": "lora",
    "ordinary_ids": "model_probe",
    "probe_tolerance": "model_probe",
    "probing": "model_probe",
    "read_adapter_weights": "adapter_files",
    "resolve_base_model": "base_model",
    "sharing_base_models": "shared_models",
    "weights_digest": "weight_digests",
}
"""The module of each public name."""

__all__ = [
    "ADAPTER_CONFIG_FILE",
    "ADAPTER_FILE",
    "BaseModelRef",
    "MachineReport",
    "ModelSource",
    "attach_lora",
    "available_memory",
    "choose_device",
    "choose_dtype",
    "count_parameters",
    "is_out_of_memory",
    "is_shared",
    "is_sharing",
    "load_adapter",
    "load_model",
    "load_shared_model",
    "load_tokenizer",
    "locate_base_model",
    "machine_report",
    "merge_adapter",
    "ordinary_ids",
    "probe_tolerance",
    "probing",
    "read_adapter_weights",
    "resolve_base_model",
    "sharing_base_models",
    "weights_digest",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
