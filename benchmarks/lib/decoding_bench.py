"""One extractor's weights decoded in different ways: by `generate`, and by the engine of this package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from extractft import Extractor
from extractft.completion import Completion, GenerationRequest
from extractft.inference import TransformersEngine
from extractft.speculation import Proposer
from lib.dictated_model import Targets, overrule
from lib.token_differences import Answer, compare, describe, summary

SINGLE = ("generate", "lookup", "engine")
BATCHED = ("generate-batch", "engine-batch")
PAIRS = (("generate", "engine"), ("generate-batch", "engine-batch"), ("engine", "engine-batch"))


@dataclass(slots=True)
class Timing:
    """Times and answers of one way, by index of the text."""

    answers: dict[int, Answer] = field(default_factory=dict)
    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)

    def run(self, indices: Sequence[int], work: Callable[[], list[Answer]]) -> None:
        """Time one call; its cost is shared out evenly over its texts."""
        wall, cpu = time.perf_counter(), time.process_time()
        answers = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        for index, answer in zip(indices, answers, strict=True):
            self.answers[index] = answer
            self.wall[index], self.cpu[index] = wall / len(indices), cpu / len(indices)


class Bench:
    """One extractor's weights, run in different ways.

    Attributes:
        targets: Answers that a random model is made to give; `None` for a trained one.
    """

    def __init__(self, extractor: Extractor[Any], *, max_new_tokens: int, lookup: int) -> None:
        runner, base = extractor._pipeline, extractor._own_base()
        self.runner, self.model, self.tokenizer = runner, base.model.eval(), base.tokenizer
        self.end = runner.chat.end_token_id
        self.pad = self.end if base.tokenizer.pad_token_id is None else base.tokenizer.pad_token_id
        self.max_new_tokens, self.lookup = max_new_tokens, lookup
        self.targets: Targets | None = None

    def engine(self, proposer: Proposer | None = None) -> TransformersEngine:
        """An engine that has seen nothing yet; the proposer is the extractor's own if `None`."""
        engine = TransformersEngine(
            self.model,
            end_token_id=self.end,
            pad_token_id=self.pad,
            config=self.runner.generation,
            prefix_ids=self.runner.chat.prefix_ids,
            proposer=proposer,
        )
        if self.targets is not None:
            self.targets.dictate(engine)
        return engine

    def generate(self, requests: Sequence[GenerationRequest], **options: Any) -> list[Answer]:
        """`model.generate`, left-padded."""
        width = max(len(request.prompt_ids) for request in requests)
        ids = torch.full((len(requests), width), self.pad)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(requests):
            ids[row, width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
            mask[row, width - len(request.prompt_ids) :] = 1
        device = self.model.device
        if self.targets is not None:
            options["logits_processor"] = [self.targets.processor(requests, width)]
        with torch.no_grad():
            out = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=self.end,
                pad_token_id=self.pad,
                **options,
            )
        return [self._until_end(row) for row in out[:, width:].tolist()]

    def _until_end(self, ids: list[int]) -> Answer:
        ended = self.end in ids
        return Answer(tuple(ids[: ids.index(self.end)] if ended else ids), ended)

    def next_logits(self, token_ids: Sequence[int]) -> Tensor:
        """Logits of the token behind these, by one plain pass over all of them."""
        with torch.no_grad():
            ids = torch.tensor([token_ids], device=self.model.device)
            logits: Tensor = self.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1].float()
        return logits if self.targets is None else overrule(logits[None], [self.targets.next_token(token_ids)])[0]

    def differences(
        self, requests: Sequence[GenerationRequest], timings: dict[str, Timing], pairs: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        """Causes of different answers in each pair of ways, the second an engine; printed as well."""
        found = {}
        for other, ours in pairs:
            if other in timings and ours in timings:
                differences = compare(
                    requests,
                    timings[other].answers,
                    timings[ours].answers,
                    next_logits=self.next_logits,
                    end_token_id=self.end,
                )
                print(describe(f"{ours} against {other}, {len(requests)} texts", differences))
                found[f"{ours} against {other}"] = summary(differences)
        return found

    def single(self, requests: Sequence[GenerationRequest], engine: TransformersEngine) -> dict[str, Timing]:
        """The three ways of one text after the other, in turns."""
        timings = {name: Timing() for name in SINGLE}
        for i, request in enumerate(requests):
            timings["generate"].run([i], lambda r=request: self.generate([r]))
            timings["lookup"].run([i], lambda r=request: self.generate([r], prompt_lookup_num_tokens=self.lookup))
            timings["engine"].run([i], lambda r=request: answers_of(engine.generate([r], batch_size=1)))
        return timings

    def batched(
        self, requests: Sequence[GenerationRequest], engine: TransformersEngine, batch_size: int
    ) -> dict[str, Timing]:
        """The two ways of batches, in turns; batches are of texts of like length, as `generate` likes them best."""
        timings = {name: Timing() for name in BATCHED}
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt_ids))
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            batch = [requests[i] for i in part]
            timings["generate-batch"].run(part, lambda b=batch: self.generate(b))
            timings["engine-batch"].run(part, lambda b=batch: answers_of(engine.generate(b, batch_size=batch_size)))
        return timings


def answers_of(completions: Iterable[Completion]) -> list[Answer]:
    return [Answer(completion.token_ids, completion.finish_reason == "stop") for completion in completions]
