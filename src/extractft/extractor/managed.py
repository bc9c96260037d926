"""A saved extractor on a server that is started for it: exported into the cache once, served on loopback.

Knows the export that each kind of server takes; knows no HTTP and no flags. Loads torch when there is something to
export, and at no other time.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from extractft.errors import ArtifactError
from extractft.extractor.client import parts_without_model, server_probe
from extractft.extractor.engine_registry import EXPORT, LOCAL, load_entry
from extractft.extractor.runtime import EngineOptions, Runtime, SavedExtractor
from extractft.modeling.weight_digests import cache_dir
from extractft.remote import require_program, start_server

__all__ = ["open_llama_cpp", "open_vllm"]

VLLM_WINDOW, VLLM_SLOTS = 8192, 64
LLAMA_WINDOW, LLAMA_SLOTS = 4096, 4
"""llama.cpp keeps memory for the whole window of every slot."""


def open_vllm(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor on a vLLM server of its own.

    Raises:
        ArtifactNotFoundError: The base model is missing.
        ArtifactError: The weights cannot be exported.
        EngineError: The server does not start, or cannot stand in for the engine here.
    """
    return _open(saved, options, "vllm", VLLM_WINDOW, VLLM_SLOTS)


def open_llama_cpp(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor on a llama.cpp server of its own; the same errors as `open_vllm`."""
    return _open(saved, options, "llama.cpp", LLAMA_WINDOW, LLAMA_SLOTS)


def _open(saved: SavedExtractor, options: EngineOptions, kind: str, window: int, slots: int) -> Runtime:
    weights, tokenizer, chat, grammar = parts_without_model(saved)
    require_program(kind)  # before the export, which takes minutes for a large model
    model = _exported(saved, options, "merged" if kind == "vllm" else "gguf")
    if kind == "llama.cpp":
        (model,) = model.glob("*.gguf")
    longest = weights.model_shape.max_window
    window = max(window, 2 * saved.manifest.config.max_length)  # for the longest rows of its training
    engine = start_server(
        kind,
        model,
        server_probe(tokenizer, chat, grammar, saved.schema),
        window=min(window, longest),
        slots=slots,
        num_alternatives=saved.generation.num_alternatives,
    )
    return Runtime(chat, engine, grammar, min(engine.capabilities.max_window or longest, longest), weights)


def _exported(saved: SavedExtractor, options: EngineOptions, format_: str) -> Path:
    """The export of these weights, made if there is none in the cache."""
    key = hashlib.sha256(f"{saved.manifest.model_dump_json()}\n{format_}\n{options.dtype}".encode()).hexdigest()[:32]
    target = cache_dir() / "served" / key
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    loaded: Runtime = load_entry(LOCAL.opener)(saved, replace(options, device="cpu", dtype="auto"))
    dtype = None if options.dtype == "auto" else options.dtype
    try:
        load_entry(EXPORT)(loaded.weights, loaded.chat, saved.manifest, target, format=format_, dtype=dtype)
    except ArtifactError:
        if not target.is_dir():  # else another process was faster
            raise
    return target
