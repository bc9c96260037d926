"""A stand-in for a tuned Qwen3-0.6B: a random model of exactly its shape whose answers are dictated.

The real tokenizer writes the prompts, and every pass really runs through all weights. Only then are the logits
overruled: the next token of the text's gold record becomes the best one, for `generate` and for the engine alike. So
the passes, their widths and their costs are those of a model that answers with the gold records.

It shows time. It does not show answers: there is nothing to learn of quality. Drafts, prompt lookup's as well, are
right as often as they are for a model that is never wrong; a tuned one errs, mostly towards what is usual. Logits are
never close, so that there are no near ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LogitsProcessor

from extractft import Extractor, GenerationConfig, PromptConfig, Schema, TrainingConfig
from extractft.completion import GenerationRequest
from extractft.constraints import accepts
from extractft.extractor.loaded_model import LoadedModel
from extractft.extractor.runtime import Provenance
from extractft.inference import TransformersEngine
from extractft.inference.model_runner import ModelRunner, Segment
from extractft.modeling import BaseModelRef
from extractft.prompt import ChatRenderer, render_system_prompt
from lib.base_models import QWEN3_SHAPE, build_model
from lib.paths import QWEN3_TOKENIZER

SHAPES = ("qwen3-0.6b",)
NOTICE = (
    "Random weights, answers dictated: the times are those of a model that is always right. They say nothing of "
    "answers, and drafts are right more often than with a tuned model."
)
HIGH = 1e4
"""A logit that no random model comes near."""


def build_extractor(schema: Any, *, layers: int | None) -> Extractor[Any]:
    """An extractor on random weights in float32; `layers` makes it smaller, for a quick look."""
    if not (QWEN3_TOKENIZER / "tokenizer.json").exists():
        raise SystemExit(f"expected Qwen3's tokenizer in {QWEN3_TOKENIZER}; `make setup` puts it there")
    config = TrainingConfig(device="cpu", dtype="float32")
    model = build_model(QWEN3_SHAPE, layers=layers, config=config).merge_and_unload()
    ref = BaseModelRef(QWEN3_SHAPE, "local", str(QWEN3_TOKENIZER))
    base = LoadedModel(ref, AutoTokenizer.from_pretrained(QWEN3_TOKENIZER), model.requires_grad_(False))
    prompt = PromptConfig()
    spec: Schema[Any] = Schema.of(schema, omit_defaults=prompt.omit_defaults)
    chat = ChatRenderer(base.tokenizer, render_system_prompt(spec, prompt))
    parts = base.runtime(chat, GenerationConfig())
    provenance = Provenance(TrainingConfig(), weights=base)
    return Extractor(spec, chat, parts.engine, parts.grammar, max_window=parts.max_window, provenance=provenance)


class Targets:
    """The answer that each prompt is to be given."""

    def __init__(self, end_token_id: int) -> None:
        self._end = end_token_id
        self._answers: dict[tuple[int, ...], tuple[int, ...]] = {}

    def add(self, request: GenerationRequest, token_ids: Sequence[int], *, limit: int) -> bool:
        """Take note of an answer, end token included, unless it does not fit or the grammar refuses it."""
        if len(token_ids) > min(limit, request.max_new_tokens) or not accepts(request.grammar, token_ids):
            return False
        self._answers[request.prompt_ids] = tuple(token_ids)
        return True

    def token(self, prompt_ids: tuple[int, ...], place: int) -> int:
        """The token at a place of a prompt's answer; behind it the end token, again and again.

        What stands before that place does not matter: where it is no part of the answer, it was a wrong draft, and
        what follows is thrown away.
        """
        answer = self._answers[prompt_ids]
        return answer[place] if place < len(answer) else self._end

    def next_token(self, token_ids: Sequence[int]) -> int:
        """The token behind a prompt and the beginning of its answer."""
        ids = tuple(token_ids)
        prompt = next(prompt for prompt in self._answers if ids[: len(prompt)] == prompt)
        return self.token(prompt, len(ids) - len(prompt))

    def processor(self, requests: Sequence[GenerationRequest], width: int) -> LogitsProcessor:
        """Overrule the logits of `generate`, for prompts padded on the left to `width` tokens."""
        return _Overruled(self, [request.prompt_ids for request in requests], width)

    def dictate(self, engine: TransformersEngine) -> None:
        """Overrule the logits of an engine that has done nothing yet."""
        if not engine.packed:
            raise SystemExit("expected a model whose layers can be packed")
        batch = engine._scheduler
        batch.model = _OverruledModel(batch.model.model, batch.model.prefix_ids, self)


class _Overruled(LogitsProcessor):
    """For `generate`, whose tokens stand at the same place in all rows."""

    def __init__(self, targets: Targets, prompts: Sequence[tuple[int, ...]], width: int) -> None:
        self._targets, self._prompts, self._width = targets, prompts, width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        place = input_ids.shape[1] - self._width
        return overrule(scores, [self._targets.token(prompt, place) for prompt in self._prompts])


class _OverruledModel(ModelRunner):
    """For the engine, whose rows stand at different places: the prompt is read from the row's own segments."""

    def __init__(self, model: Any, prefix_ids: Sequence[int], targets: Targets) -> None:
        super().__init__(model, prefix_ids)
        self._targets = targets
        self._rows: dict[int, list[int]] = {}
        self._prompts: dict[int, tuple[int, ...]] = {}

    def forward(self, segments: Sequence[Segment]) -> Tensor:
        logits = super().forward(segments)
        return overrule(logits, [token for segment in segments for token in self._wanted(segment)])

    def _wanted(self, segment: Segment) -> list[int]:
        begin = len(self.prefix_ids) if segment.shared else 0
        if segment.start == begin:  # another row has taken the slot
            self._rows[segment.slot] = list(self.prefix_ids[:begin])
            self._prompts.pop(segment.slot, None)
        end = segment.start + len(segment.token_ids)
        if segment.slot not in self._prompts:
            self._rows[segment.slot] += segment.token_ids
            if segment.num_logits:  # the first logits that are wanted of a row are those behind its prompt
                self._prompts[segment.slot] = tuple(self._rows.pop(segment.slot)[: end - segment.num_logits + 1])
        prompt = self._prompts.get(segment.slot, ())
        depths = segment.depths()[len(segment.token_ids) - segment.num_logits :]
        return [self._targets.token(prompt, segment.start + depth + 1 - len(prompt)) for depth in depths]


def overrule(logits: Tensor, token_ids: Sequence[int]) -> Tensor:
    """Make one token of each row, shape `[rows, vocab_size]`, by far the best."""
    rows = torch.arange(len(token_ids), device=logits.device)
    logits[rows, torch.tensor(token_ids, dtype=torch.long, device=logits.device)] = HIGH
    return logits
