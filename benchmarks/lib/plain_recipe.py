"""The plain recipe: what people copy today, kept as the baseline of `benchmarks/quality.py`.

Hand-written prompt, every field spelled out (absent ones as null), the notebook's LoRA and training
arguments in an ordinary padded loop, unconstrained greedy `generate`, `json.loads`. It shares no code with
extractft, so that it stays what it is while the library changes.

Knows transformers, peft and torch; knows nothing of extractft.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True, slots=True)
class PlainResult:
    """Answers and times of a run of the plain recipe; `outputs[i]` is raw text, `None` where it is no JSON object."""

    outputs: list[str]
    records: list[dict[str, Any] | None]
    train_seconds: float
    train_cpu_seconds: float
    predict_seconds: float
    losses: list[float]


def instruction(json_schema: dict[str, Any]) -> str:
    """The prompt as it is written by hand: the task, and the keys with their descriptions."""
    lines = ["Extract the information from the user's text. Answer with one JSON object with exactly these keys,"]
    lines.append("and null for what the text does not say:")
    for name, prop in json_schema.get("properties", {}).items():
        description = prop.get("description")
        lines.append(f"- {name}: {description}" if description else f"- {name}")
    return "\n".join(lines)


def _encode(tokenizer: Any, system: str, text: str, answer: str | None) -> tuple[list[int], list[int]]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if answer is None:
        return prompt_ids, []
    return prompt_ids, [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def _batches(rows: list[tuple[list[int], list[int]]], size: int, rng: random.Random) -> Iterator[list[Any]]:
    order = list(range(len(rows)))
    rng.shuffle(order)
    for start in range(0, len(order), size):
        yield [rows[i] for i in order[start : start + size]]


def _collate(batch: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    width = max(len(p) + len(a) for p, a in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), -100)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for i, (prompt, answer) in enumerate(batch):
        n = len(prompt) + len(answer)
        ids[i, :n] = torch.tensor(prompt + answer)
        labels[i, len(prompt) : n] = torch.tensor(answer)
        mask[i, :n] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def run_plain(
    model_path: str | Path,
    json_schema: dict[str, Any],
    train: list[tuple[str, Any]],
    test_texts: list[str],
    *,
    seed: int = 0,
    epochs: int = 3,
    learning_rate: float = 1e-4,
    batch_size: int = 4,
    accumulation: int = 4,
    checkpointing: bool = True,
    all_logits: bool = True,
    max_new_tokens: int = 512,
    keep: Path | None = None,
    log: Callable[[str], None] = print,
) -> PlainResult:
    """Train the plain recipe on `train` (text, full JSON output) and answer `test_texts` with it.

    `checkpointing` and `all_logits` change what a step costs, not what it computes: the quality runs turn both
    off, which is the cheapest form of the same recipe and so the harder one to beat on time. `keep` is a file for the
    state after each epoch, from which an interrupted run goes on.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.1, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    system = instruction(json_schema)
    rows = [_encode(tokenizer, system, text, json.dumps(out, ensure_ascii=False)) for text, out in train]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0)
    per_epoch = -(-len(rows) // (batch_size * accumulation))
    scheduler = get_linear_schedule_with_warmup(optimizer, 0, per_epoch * epochs)
    state = _Kept(keep, model, optimizer, scheduler, rng)
    model.train()
    for epoch in range(state.epochs, epochs):
        start, cpu = time.perf_counter(), time.process_time()
        for big in _batches(rows, batch_size * accumulation, rng):
            parts = [big[i : i + batch_size] for i in range(0, len(big), batch_size)]
            step_loss = 0.0
            for part in parts:
                loss = _loss(model, part, tokenizer.pad_token_id, all_logits) / len(parts)
                loss.backward()
                step_loss += float(loss.detach())
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            state.losses.append(step_loss)
            log(f"plain epoch {epoch} step {len(state.losses)} loss {step_loss:.4f} {time.perf_counter() - start:.0f}s")
        state.save(time.perf_counter() - start, time.process_time() - cpu)
    start = time.perf_counter()
    outputs = _generate(model, tokenizer, system, test_texts, max_new_tokens)
    return PlainResult(
        outputs,
        [_parse(o) for o in outputs],
        state.seconds,
        state.cpu_seconds,
        time.perf_counter() - start,
        state.losses,
    )


class _Kept:
    """Everything that the next epoch depends on, in a file if there is one; what is there already is loaded."""

    def __init__(self, path: Path | None, model: Any, optimizer: Any, scheduler: Any, rng: random.Random) -> None:
        self._path, self._model, self._rng = path, model, rng
        self._parts = {"optimizer": optimizer, "scheduler": scheduler}
        self.epochs, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.losses: list[float] = []
        if path is not None and path.exists():
            kept = torch.load(path, weights_only=False)  # our own file
            model.load_state_dict(kept["weights"], strict=False)
            for name, part in self._parts.items():
                part.load_state_dict(kept[name])
            rng.setstate(kept["shuffle"])
            torch.set_rng_state(kept["dropout"])
            self.epochs, self.seconds, self.cpu_seconds, self.losses = kept["progress"]

    def save(self, seconds: float, cpu_seconds: float) -> None:
        """An epoch is done."""
        self.epochs, self.seconds, self.cpu_seconds = (
            self.epochs + 1,
            self.seconds + seconds,
            self.cpu_seconds + cpu_seconds,
        )
        if self._path is None:
            return
        trained = {name: value.detach() for name, value in self._model.named_parameters() if value.requires_grad}
        kept = {name: part.state_dict() for name, part in self._parts.items()}
        kept |= {"weights": trained, "shuffle": self._rng.getstate(), "dropout": torch.get_rng_state()}
        kept["progress"] = (self.epochs, self.seconds, self.cpu_seconds, self.losses)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(kept, self._path.with_suffix(".tmp"))
        self._path.with_suffix(".tmp").replace(self._path)


def _loss(model: Any, batch: list[tuple[list[int], list[int]]], pad: int, all_logits: bool) -> torch.Tensor:
    inputs = _collate(batch, pad)
    if all_logits:
        return model(**inputs).loss
    labels = inputs.pop("labels")
    keep = labels.shape[1] - min(len(prompt) for prompt, _ in batch) + 1
    logits = model(**inputs, logits_to_keep=keep).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1 - keep :].flatten())


@torch.no_grad()
def _generate(model: Any, tokenizer: Any, system: str, texts: list[str], max_new_tokens: int) -> list[str]:
    """Greedy `generate`, left-padded by 12 to save the benchmark's time; fp32 gives the same answers one by one."""
    model.eval()
    model.gradient_checkpointing_disable()
    prompts = [_encode(tokenizer, system, text, None)[0] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(prompts[i]))
    outputs = [""] * len(texts)
    for start in range(0, len(order), 12):
        part = order[start : start + 12]
        width = max(len(prompts[i]) for i in part)
        ids = torch.full((len(part), width), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(part):
            ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
            mask[row, width - len(prompts[i]) :] = 1
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False)
        for row, i in enumerate(part):
            outputs[i] = tokenizer.decode(out[row, width:], skip_special_tokens=True)
    return outputs


def _parse(output: str) -> dict[str, Any] | None:
    try:
        record = json.loads(output)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None
