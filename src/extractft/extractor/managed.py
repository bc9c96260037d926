"""A saved extractor on a server that is started for it: exported into the cache once, served on loopback.

Knows the export that each kind of server takes; knows no HTTP and no flags. Loads torch when there is something to
export, and at no other time.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from extractft.constraints import GrammarCompiler
from extractft.errors import ArtifactError
from extractft.extractor.client import SavedWeights, parts_without_model, server_probe
from extractft.extractor.engine_registry import EXPORT, LOCAL, load_entry
from extractft.extractor.runtime import EngineOptions, Runtime, SavedExtractor
from extractft.modeling.weight_digests import cache_dir
from extractft.prompt import ChatRenderer
from extractft.remote import Adapter, RemoteEngine, require_program, serve_adapter, start_server

__all__ = ["open_llama_cpp", "open_vllm", "open_vllm_lora"]

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


def open_vllm_lora(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor as an adapter beside others, on one vLLM server of their base model; errors as `open_vllm`."""
    weights, tokenizer, chat, grammar = parts_without_model(saved)
    require_program("vllm")
    engine = serve_adapter(
        _exported_base(saved, options),
        _adapter(saved),
        server_probe(tokenizer, chat, grammar, saved.schema),
        window=_window(saved, weights, VLLM_WINDOW),
        slots=VLLM_SLOTS,
        num_alternatives=saved.generation.num_alternatives,
        dtype=_given(options),
    )
    return _runtime(engine, weights, chat, grammar)


def _open(saved: SavedExtractor, options: EngineOptions, kind: str, window: int, slots: int) -> Runtime:
    weights, tokenizer, chat, grammar = parts_without_model(saved)
    require_program(kind)  # before the export, which takes minutes for a large model
    model = _exported(saved, options, "merged" if kind == "vllm" else "gguf")
    if kind == "llama.cpp":
        (model,) = model.glob("*.gguf")
    engine = start_server(
        kind,
        model,
        server_probe(tokenizer, chat, grammar, saved.schema),
        window=_window(saved, weights, window),
        slots=slots,
        num_alternatives=saved.generation.num_alternatives,
        dtype=_given(options),
    )
    return _runtime(engine, weights, chat, grammar)


def _window(saved: SavedExtractor, weights: SavedWeights, window: int) -> int:
    """The window of a server: room for the longest rows of the training, and no more than the model has."""
    return min(max(window, 2 * saved.manifest.config.max_length), weights.model_shape.max_window)


def _runtime(engine: RemoteEngine, weights: SavedWeights, chat: ChatRenderer, grammar: GrammarCompiler) -> Runtime:
    longest = weights.model_shape.max_window
    return Runtime(chat, engine, grammar, min(engine.capabilities.max_window or longest, longest), weights)


def _adapter(saved: SavedExtractor) -> Adapter | None:
    """The adapter of a saved extractor, under a name of its own; `None` if it is the base model itself."""
    if not saved.manifest.adapter:
        return None
    digest = hashlib.sha256(saved.manifest.model_dump_json().encode()).hexdigest()[:16]
    return Adapter(f"adapter-{digest}", saved.path, saved.manifest.config.lora.r)


def _exported(saved: SavedExtractor, options: EngineOptions, format_: str) -> Path:
    """The export of these weights, made if there is none in the cache."""
    return _in_cache(f"{saved.manifest.model_dump_json()}\n{format_}\n{options.dtype}", saved, options, format_)


def _exported_base(saved: SavedExtractor, options: EngineOptions) -> Path:
    """The export of the base model alone, which all extractors on it share."""
    bare = replace(saved, manifest=saved.manifest.model_copy(update={"adapter": False}))
    return _in_cache(f"{saved.manifest.base_model.weights_sha256}\nbase\n{options.dtype}", bare, options, "merged")


def _in_cache(identity: str, saved: SavedExtractor, options: EngineOptions, format_: str) -> Path:
    target = cache_dir() / "served" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    loaded: Runtime = load_entry(LOCAL.opener)(saved, replace(options, device="cpu", dtype="auto"))
    try:
        load_entry(EXPORT)(loaded.weights, loaded.chat, saved.manifest, target, format=format_, dtype=_given(options))
    except ArtifactError:
        if not target.is_dir():  # else another process was faster
            raise
    return target


def _given(options: EngineOptions) -> str | None:
    """The type of weights that the caller asked for; `None` if it was left open."""
    return None if options.dtype == "auto" else options.dtype
