"""A saved extractor on an engine elsewhere: opened from its manifest and its tokenizer alone.

Knows the questions that a server has to get right, since it knows the schema and the prompt. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from extractft.artifact import BaseModelRecord, Manifest, ModelShape, copy_artifact
from extractft.completion import GenerationRequest, capabilities_of
from extractft.constraints import FastTokenizer, GrammarCompiler
from extractft.errors import ArtifactError, ConfigError
from extractft.extractor.pipeline import MIN_ROOM
from extractft.extractor.runtime import EngineOptions, Runtime, SavedExtractor
from extractft.prompt import ChatRenderer
from extractft.prompt.stored_tokenizer import StoredTokenizer
from extractft.remote import connect, require_server
from extractft.remote.server_probe import ServerProbe
from extractft.schema import Schema

__all__ = ["SavedWeights", "open_given", "open_server", "parts_without_model", "server_probe"]

PROBE_TEXTS = (
    "Zürich, 12. März: 3 × 4,50 €",
    "投诉：垃圾桶满了 ２０２６年",
    "one\n\ttab, two  blanks",
    "👩‍💻 ŉ naïve 12345.678",
)
"""Texts that tokenizers of different models split differently."""
PROBE_TOKENS = 64


class ServerProbeRecord(BaseModel):
    """A record that no model writes by itself, of two fields so that their order shows."""

    zeta: Literal["q7Zx 龙", "Kw3-ß"]
    alpha: Literal["0f§"]


@dataclass(frozen=True, slots=True)
class SavedWeights:
    """The files of a saved extractor, in place of a model in memory.

    Attributes:
        saved: The extractor that was opened.
        model_shape: Sizes of its model.
    """

    saved: SavedExtractor
    model_shape: ModelShape

    @property
    def base_model(self) -> BaseModelRecord:
        """Origin of the base weights, as the manifest has it."""
        return self.saved.manifest.base_model

    def shape(self, chat: ChatRenderer) -> ModelShape:
        """Sizes of the model, as the manifest has them."""
        return self.model_shape

    def save(self, path: str | Path, manifest: Manifest) -> None:
        """Copy the files, with a manifest of their own.

        Raises:
            ArtifactError: Some are not there, or the directory cannot be written.
        """
        copy_artifact(path, manifest, self.saved.path)


def open_given(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor on an engine that the caller brings.

    Raises:
        ArtifactError: The extractor does not say what a client has to know of its model.
        ConfigError: The options are those of a model on this machine.
    """
    _require_no_model_options(options)
    weights, _, chat, grammar = parts_without_model(saved)
    window = capabilities_of(options.engine).max_window or weights.model_shape.max_window
    return Runtime(chat, options.engine, grammar, min(window, weights.model_shape.max_window), weights)


def open_server(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor on a server that has its model.

    Raises:
        EngineError: The server cannot be reached or cannot stand in for the engine here.
        ArtifactError: The extractor does not say what a client has to know of its model.
        ConfigError: The options are those of a model on this machine.
    """
    _require_no_model_options(options)
    try:
        weights, tokenizer, chat, grammar = parts_without_model(saved)
    except ArtifactError:
        require_server(options.engine)  # a wrong address is said first: it is mended faster
        raise
    engine = connect(
        options.engine,
        server_probe(tokenizer, chat, grammar, saved.schema),
        num_alternatives=saved.generation.num_alternatives,
    )
    window = engine.capabilities.max_window or weights.model_shape.max_window
    return Runtime(chat, engine, grammar, min(window, weights.model_shape.max_window), weights)


def server_probe(
    tokenizer: FastTokenizer, chat: ChatRenderer, grammar: GrammarCompiler, own_schema: Schema[Any]
) -> ServerProbe:
    """The questions to a server, and the right answers."""
    schema: Schema[ServerProbeRecord] = Schema.of(ServerProbeRecord)
    encode = tokenizer.backend_tokenizer.encode  # the whole tokenizer, as the server has it
    prompt_ids, text_ids = tuple(chat.prompt_ids("probe")), tuple(chat.text_ids("probe"))
    own_grammar = grammar.compile(own_schema, max_string_length=PROBE_TOKENS, text="probe")
    request = GenerationRequest(prompt_ids, grammar.compile(schema), PROBE_TOKENS, text_ids)
    records = [ServerProbeRecord(zeta=value, alpha="0f§") for value in ("q7Zx 龙", "Kw3-ß")]
    return ServerProbe(
        token_ids={text: tuple(encode(text, add_special_tokens=False).ids) for text in PROBE_TEXTS},
        request=request,
        answers=tuple(schema.canonical_json(record).encode() for record in records),
        own_request=replace(request, grammar=own_grammar),
        codec=chat,
        end_token_id=chat.end_token_id,
        least_window=len(chat.prompt_ids("")) + MIN_ROOM,
    )


def parts_without_model(saved: SavedExtractor) -> tuple[SavedWeights, StoredTokenizer, ChatRenderer, GrammarCompiler]:
    """Weights, prompts and grammars of a saved extractor, from its manifest and its tokenizer.

    Raises:
        ArtifactError: An older version saved it, which did not write what is needed.
    """
    manifest, shape = saved.manifest, saved.manifest.model_shape
    if shape is None or manifest.chat_frame is None:
        raise ArtifactError(
            "Expected a saved extractor that tells its window and its end token, for a client of a server, found one "
            f"of format {manifest.format_version}, which did not."
        ).hint(
            "Load it once with its base model and save it again: Extractor.from_pretrained(path).save_pretrained(path)."
        )
    tokenizer = StoredTokenizer.from_directory(saved.path, eos_token_id=shape.end_token_id)
    chat = ChatRenderer(tokenizer, manifest.system_prompt, frame=manifest.chat_frame)
    grammar = GrammarCompiler(tokenizer, vocab_size=shape.vocab_size, end_token_id=chat.end_token_id)
    return SavedWeights(saved, shape), tokenizer, chat, grammar


def _require_no_model_options(options: EngineOptions) -> None:
    default = EngineOptions()
    names = [name for name in ("base_model", "device", "dtype") if getattr(options, name) != getattr(default, name)]
    if names:
        raise ConfigError(f"Expected no {' and no '.join(names)} for an engine elsewhere, found one.").hint(
            "These are settings of a model on this machine: leave them out, or leave the engine out."
        )
