"""The kinds of engines and what opens each: the one place of the package that imports late.

torch takes seconds to load and hundreds of megabytes; a client of a server needs none of it. So everything that loads
a model or trains one is named here, by module and attribute, and imported when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import re
from dataclasses import dataclass
from typing import Any

from extractft.errors import ConfigError
from extractft.prompt.stored_tokenizer import TOKENIZER_FILE

__all__ = ["EXPORT", "FIT", "FRAME", "OPEN_BASE", "PUSH", "EngineKind", "engine_kind", "engine_name", "load_entry"]

FIT = "extractft.extractor.fit:fit_extractor"
OPEN_BASE = "extractft.extractor.loaded_model:open_base"
EXPORT = "extractft.extractor.exporting:export_weights"
SHOWN_ADDRESS = "extractft.remote.connect:shown_address"
FRAME = "extractft.extractor.record_frames:frame_of_records"
PUSH = "extractft.extractor.exporting:push_weights"


@dataclass(frozen=True, slots=True)
class EngineKind:
    """A kind of engine.

    Attributes:
        opener: `module:function` that opens a saved extractor, `(SavedExtractor, EngineOptions) -> Runtime`.
        needed: Names of the files that have to be in the saved extractor beside its manifest; `None` for all.
    """

    opener: str
    needed: frozenset[str] | None = None


LOCAL = EngineKind("extractft.extractor.loaded_model:open_saved")
SERVER = EngineKind("extractft.extractor.client:open_server", frozenset({TOKENIZER_FILE}))
GIVEN = EngineKind("extractft.extractor.client:open_given", frozenset({TOKENIZER_FILE}))

NAMED = {
    "transformers": LOCAL,
    "vllm": EngineKind("extractft.extractor.managed:open_vllm"),
    "vllm-lora": EngineKind("extractft.extractor.managed:open_vllm_lora"),
    "llama.cpp": EngineKind("extractft.extractor.managed:open_llama_cpp"),
}
"""Engines that have a name rather than an address."""
HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(/\S*)?")
"""An address without its scheme."""


def engine_kind(engine: Any) -> EngineKind:
    """The kind that a caller means.

    Args:
        engine: `None`, a name, the address of a server, or an engine.

    Raises:
        ConfigError: It is none of these.
    """
    if engine is None:
        return LOCAL
    if not isinstance(engine, str):
        if callable(getattr(engine, "generate", None)):
            return GIVEN
        raise _unknown(f"an object of type {type(engine).__name__}")
    if "://" in engine:
        return SERVER
    if engine in NAMED:
        return NAMED[engine]
    if "@" in engine:  # it may be an address with a password
        raise _unknown("another name")
    raise _unknown(repr(engine), _meant(engine))


def engine_name(engine: Any) -> str:
    """The name to keep and to show of what a caller gives as an engine: never with a login.

    Args:
        engine: `None`, a name, the address of a server, or an engine.

    Raises:
        EngineError: It is meant for an address and is none.
    """
    if engine is None:
        return "local"
    if not isinstance(engine, str):
        return type(engine).__name__
    return str(load_entry(SHOWN_ADDRESS)(engine)) if "://" in engine else engine


def load_entry(entry: str) -> Any:
    """Import what an entry of this registry names."""
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def _meant(engine: str) -> str:
    """The engine that a mistyped one most likely means, as a question; empty if none is near."""
    if HOST_AND_PORT.fullmatch(engine):
        return f"Did you mean http://{engine}? "
    close = difflib.get_close_matches(engine.lower(), NAMED, n=1)
    return f"Did you mean {close[0]}? " if close else ""


def _unknown(found: str, question: str = "") -> ConfigError:
    return ConfigError(f"Expected an engine, found {found}.").hint(
        f"{question}"
        f"Name one of {', '.join(NAMED)}, or give the address of a server, such as http://localhost:8000 or "
        "vllm+http://localhost:8000."
    )
