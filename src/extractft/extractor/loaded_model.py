"""A base model in memory, with or without an adapter. Knows where it came from and how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from extractft.artifact import Manifest
from extractft.completion import Engine
from extractft.config import GenerationConfig, TrainingConfig
from extractft.constraints import GrammarCompiler
from extractft.inference import TransformersEngine
from extractft.modeling import BaseModelRef, attach_lora, load_adapter, load_model, load_tokenizer, merge_adapter
from extractft.prompt import ChatRenderer

__all__ = ["LoadedModel"]


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
    def load(cls, ref: BaseModelRef, *, device: str, dtype: str, tokenizer_path: str | Path | None = None) -> Self:
        """Load tokenizer and weights.

        Args:
            ref: The base model.
            device: Device to load it on.
            dtype: Type of its weights; `int8` for float32 on the processor and products in 8 bits.
            tokenizer_path: A saved extractor whose tokenizer and chat template to take: they are what it was trained
                with, whatever has become of those of the base model.
        """
        place = str(tokenizer_path or ref.path)
        own = ref if tokenizer_path is None else replace(ref, source="local", name=place, path=place)
        eight_bit = dtype == "int8"
        if eight_bit:
            device, dtype = "cpu" if device == "auto" else device, "float32"
        return cls(ref, load_tokenizer(own), load_model(ref, device=device, dtype=dtype), eight_bit)

    @classmethod
    def restored(cls, ref: BaseModelRef, path: Path, manifest: Manifest, *, device: str, dtype: str) -> Self:
        """The model of a saved extractor, its adapter merged if its settings say so."""
        base = cls.load(ref, device=device, dtype=dtype, tokenizer_path=path)
        if not manifest.adapter:
            return base
        base = replace(base, model=load_adapter(base.model, path, config=manifest.config.lora))
        if manifest.config.generation.merge_adapter:
            merge_adapter(base.model)
        return base

    @classmethod
    def trainable(cls, ref: BaseModelRef, config: TrainingConfig, adapter: Path | None) -> Self:
        """The model with an adapter to train: a fresh one, or a saved one to go on with."""
        base = cls.load(ref, device=config.device, dtype=config.dtype, tokenizer_path=adapter)
        if adapter is None:
            return replace(base, model=attach_lora(base.model, config.lora, seed=config.seed))
        return replace(base, model=load_adapter(base.model, adapter, config=config.lora, trainable=True))

    @property
    def window(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def engine(self, chat: ChatRenderer, generation: GenerationConfig) -> Engine:
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
        """A compiler for the width of this model's logits, which may exceed the tokenizer's."""
        width = self.model.get_input_embeddings().num_embeddings
        return GrammarCompiler(self.tokenizer, vocab_size=width, end_token_id=chat.end_token_id)
