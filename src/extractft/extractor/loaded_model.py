"""A base model in memory, with or without an adapter. Knows where it came from and how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from extractft.artifact import Manifest, ModelShape, save_artifact
from extractft.config import GenerationConfig, TrainingConfig
from extractft.constraints import GrammarCompiler
from extractft.extractor.argument_checks import DEFAULT_BASE_MODEL
from extractft.extractor.runtime import EngineOptions, Runtime, SavedExtractor
from extractft.inference import TransformersEngine
from extractft.modeling import (
    BaseModelRef,
    attach_lora,
    is_sharing,
    load_adapter,
    load_model,
    load_shared_model,
    load_tokenizer,
    merge_adapter,
    resolve_base_model,
)
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.schema import Schema

__all__ = ["LoadedModel", "open_base", "open_saved"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, its tokenizer, and its origin.

    Attributes:
        ref: Where the base weights came from.
        tokenizer: The base model's tokenizer.
        model: The base model, or the PEFT model around it.
        eight_bit: Whether engines multiply in 8 bits.
    """

    ref: BaseModelRef
    tokenizer: Any
    model: Any
    eight_bit: bool = False

    @classmethod
    def load(
        cls,
        ref: BaseModelRef,
        *,
        device: str,
        dtype: str,
        tokenizer_path: str | Path | None = None,
        to_train: bool = False,
    ) -> Self:
        """Load tokenizer and weights.

        Args:
            ref: The base model.
            device: Device to load it on.
            dtype: Type of its weights; `int8` for float32 on the processor and products in 8 bits.
            tokenizer_path: A saved extractor whose tokenizer and chat template to take: they are what it was trained
                with, whatever has become of those of the base model.
            to_train: True for weights that no other model has, as an adapter is merged into them in the end.
        """
        place = str(tokenizer_path or ref.path)
        own = ref if tokenizer_path is None else replace(ref, source="local", name=place, path=place)
        eight_bit = dtype == "int8"
        if eight_bit:
            device, dtype = "cpu" if device == "auto" else device, "float32"
        load = load_model if to_train else load_shared_model
        return cls(ref, load_tokenizer(own), load(ref, device=device, dtype=dtype), eight_bit)

    @classmethod
    def restored(cls, ref: BaseModelRef, path: Path, manifest: Manifest, *, device: str, dtype: str) -> Self:
        """The model of a saved extractor, its adapter merged if its settings say so and the weights are its own."""
        base = cls.load(ref, device=device, dtype=dtype, tokenizer_path=path)
        if not manifest.adapter:
            return base
        base = replace(base, model=load_adapter(base.model, path, config=manifest.config.lora))
        if manifest.config.generation.merge_adapter and not is_sharing():
            merge_adapter(base.model)
        return base

    @classmethod
    def trainable(cls, ref: BaseModelRef, config: TrainingConfig, adapter: Path | None) -> Self:
        """The model with an adapter to train: a fresh one, or a saved one to go on with."""
        base = cls.load(ref, device=config.device, dtype=config.dtype, tokenizer_path=adapter, to_train=True)
        if adapter is None:
            return replace(base, model=attach_lora(base.model, config.lora, seed=config.seed))
        return replace(base, model=load_adapter(base.model, adapter, config=config.lora, trainable=True))

    @property
    def window(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def base_model(self) -> BaseModelRef:
        """Origin of the base weights."""
        return self.ref

    @property
    def has_adapter(self) -> bool:
        """True if an adapter was trained or loaded."""
        return hasattr(self.model, "peft_config")

    @property
    def vocab_size(self) -> int:
        """Width of this model's logits, which may exceed the tokenizer's."""
        return int(self.model.get_input_embeddings().num_embeddings)

    def shape(self, chat: ChatRenderer) -> ModelShape:
        """Sizes of the model, for the manifest."""
        return ModelShape(vocab_size=self.vocab_size, max_window=self.window, end_token_id=chat.end_token_id)

    def save(self, path: str | Path, manifest: Manifest) -> None:
        """Write adapter, tokenizer and manifest to a directory.

        Raises:
            ArtifactError: It cannot be written.
        """
        save_artifact(path, manifest=manifest, model=self.model, tokenizer=self.tokenizer)

    def engine(self, chat: ChatRenderer, generation: GenerationConfig) -> TransformersEngine:
        """An engine on this model that keeps the prompt's common prefix."""
        pad = self.tokenizer.pad_token_id
        return TransformersEngine(
            self.model,
            end_token_id=chat.end_token_id,
            pad_token_id=chat.end_token_id if pad is None else pad,
            config=generation,
            prefix_ids=chat.prefix_ids,
            max_batch_tokens=generation.max_batch_tokens,
            eight_bit=self.eight_bit,
        )

    def grammar(self, chat: ChatRenderer) -> GrammarCompiler:
        """A compiler for the width of this model's logits."""
        return GrammarCompiler(self.tokenizer, vocab_size=self.vocab_size, end_token_id=chat.end_token_id)

    def runtime(self, chat: ChatRenderer, generation: GenerationConfig) -> Runtime:
        """An engine on this model, with all that requests to it need."""
        return Runtime(chat, self.engine(chat, generation), self.grammar(chat), self.window, self)


def open_saved(saved: SavedExtractor, options: EngineOptions) -> Runtime:
    """A saved extractor on its model, loaded here.

    Raises:
        ConfigError: There is no such device or dtype here.
        ArtifactNotFoundError: The base model is missing.
        ArtifactMismatchError: It is not the one of the extractor.
    """
    manifest = saved.manifest
    if options.base_model is not None:
        ref = resolve_base_model(options.base_model)
        manifest.require_base_model(ref)
    else:
        ref = manifest.locate_base_model()
    base = LoadedModel.restored(ref, saved.path, manifest, device=options.device, dtype=options.dtype)
    chat = ChatRenderer(base.tokenizer, manifest.system_prompt, frame=manifest.chat_frame)
    return base.runtime(chat, saved.generation)


def open_base(schema: Schema[Any], config: TrainingConfig, options: EngineOptions) -> Runtime:
    """The prompt of a schema on an untrained model, loaded here.

    Raises:
        ConfigError: There is no such device or dtype here.
        ArtifactNotFoundError: The base model is not to be had.
    """
    system_prompt = render_system_prompt(schema, config.prompt)
    name = DEFAULT_BASE_MODEL if options.base_model is None else options.base_model
    base = LoadedModel.load(resolve_base_model(name), device=options.device, dtype=options.dtype)
    return base.runtime(ChatRenderer(base.tokenizer, system_prompt), config.generation)
