from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
import torch
from pydantic import BaseModel
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)

from extractft.completion import Completion, GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler, accepts
from extractft.errors import GrammarError
from extractft.inference import TransformersEngine
from extractft.inference import model_runner as packed
from extractft.schema import Schema
from extractft.speculation.simple_proposers import NoProposer
from extractft.testing import tiny_model

VOCAB = 264


class Item(BaseModel):
    name: str
    kind: Literal["a", "bc", "bd"]


class Record(BaseModel):
    title: str
    ok: bool
    items: list[Item] = []
    note: str | None = None


SCHEMA = Schema.of(Record)
PREFIX = "<system>Extract the record.</system>"


@pytest.fixture(scope="module")
def grammar(tokenizer: Any) -> Any:
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    return compiler.compile(SCHEMA, max_string_length=100)


def build(name: str) -> Any:
    shape = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "initializer_range": 0.3,
        "pad_token_id": 256,
    }
    set_seed(3)
    match name:
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**shape, tie_word_embeddings=True)).eval()
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**shape)).eval()
        case "llama-eager":
            return LlamaForCausalLM(LlamaConfig(**shape, attn_implementation="eager")).eval()
        case "qwen3-windows":
            windows = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}
            return Qwen3ForCausalLM(Qwen3Config(**shape, **windows)).eval()
        case "gemma3":
            kinds = ["sliding_attention", "full_attention"]
            return Gemma3ForCausalLM(Gemma3TextConfig(**shape, sliding_window=9, layer_types=kinds)).eval()
        case "mistral":
            return MistralForCausalLM(MistralConfig(**shape, sliding_window=11)).eval()
        case "lfm2":  # half of its layers are convolutions with a state
            kinds = ["conv", "full_attention"]
            return Lfm2ForCausalLM(Lfm2Config(**shape, layer_types=kinds)).eval()
        case "gpt2":
            config = GPT2Config(
                vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=2048, initializer_range=0.3
            )
            return GPT2LMHeadModel(config).eval()
    raise AssertionError(name)


MODELS = ["qwen3", "llama", "llama-eager", "qwen3-windows", "gemma3", "mistral", "lfm2", "gpt2"]


def make_engine(model: Any, tokenizer: Any, *, batch_size: int = 16, prefix: str = PREFIX, **more: Any) -> Any:
    return TransformersEngine(
        model,
        end_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        config=GenerationConfig(batch_size=batch_size),
        prefix_ids=tokenizer.encode(prefix),
        **more,
    )


def make_requests(tokenizer: Any, grammar: Any, count: int, *, seed: int = 0, budget: int = 36) -> list[Any]:
    rng = random.Random(seed)
    texts = ["".join(rng.choice("abc xyz,龙琳") for _ in range(rng.randrange(1, 40))) for _ in range(count)]
    return [
        GenerationRequest(tuple(tokenizer.encode(PREFIX + text)), grammar, budget + rng.randrange(16)) for text in texts
    ]


def slow(model: Any, request: GenerationRequest, end: int) -> Iterator[tuple[int, float, float]]:
    """The obvious way: the whole sequence through the model at each token, no cache, no batch."""
    ids, matcher = list(request.prompt_ids), request.grammar.matcher()
    mask = bytearray(4 * -(-VOCAB // 32))
    for _ in range(request.max_new_tokens):
        matcher.fill_mask(mask)
        allowed = [i for i in range(VOCAB) if mask[i >> 3] >> (i & 7) & 1]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        best = max(allowed, key=lambda i: (float(logits[i]), -i))
        raw = torch.log_softmax(logits, -1)
        if best == end:
            return
        yield best, float(raw[best]), float(raw[best] - torch.logsumexp(raw[allowed], 0))
        ids.append(best)
        matcher.consume(best)
        if matcher.is_finished():
            return


def assert_same(left: Sequence[Completion], right: Sequence[Completion]) -> None:
    assert [c.finish_reason for c in left] == [c.finish_reason for c in right]
    for a, b in zip(left, right, strict=True):
        assert a.token_ids == b.token_ids
        assert [s.logprob for s in a.steps] == pytest.approx([s.logprob for s in b.steps], abs=1e-3)
        assert [s.constrained_logprob for s in a.steps] == pytest.approx(
            [s.constrained_logprob for s in b.steps], abs=1e-3
        )
        for one, other in zip(a.steps, b.steps, strict=True):
            assert [p for _, p in one.alternatives] == pytest.approx([p for _, p in other.alternatives], abs=1e-3)
            for (first, p), (second, _), (_, following) in zip(
                one.alternatives, other.alternatives, one.alternatives[1:], strict=False
            ):
                if p - following > 2e-3:  # closer ones may change places
                    assert first == second
                else:
                    break


@pytest.mark.parametrize("name", MODELS)
def test_batch_is_one_by_one_is_the_slow_way(tokenizer: Any, grammar: Any, name: str) -> None:
    model = build(name)
    requests = make_requests(tokenizer, grammar, 6)
    batched = list(make_engine(model, tokenizer).generate(requests))
    alone = list(make_engine(model, tokenizer, batch_size=1).generate(requests))
    bare = list(make_engine(model, tokenizer, prefix="").generate(requests))
    assert_same(batched, alone)
    assert_same(batched, bare)
    for request, completion in zip(requests[:2], batched, strict=False):
        expected = list(slow(model, request, tokenizer.eos_token_id))
        decided = [s for s in completion.steps if s.logprob != 0.0]
        shared = min(len(decided), len(expected))
        assert shared > 5
        assert [s.token_id for s in decided[:shared]] == [token for token, _, _ in expected[:shared]]
        for step, (_, logprob, constrained) in zip(decided, expected, strict=False):
            assert step.logprob == pytest.approx(logprob, abs=1e-3)
            assert step.constrained_logprob == pytest.approx(constrained, abs=1e-3)


def test_many_random_prompts_agree(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    requests = make_requests(tokenizer, grammar, 40, seed=9)
    batched = list(make_engine(model, tokenizer, batch_size=40).generate(requests))
    assert_same(batched, list(make_engine(model, tokenizer, batch_size=7).generate(requests)))
    assert len({c.token_ids for c in batched}) > 20


class Flags(BaseModel):
    ok: bool
    kind: Literal["one", "two", "three"]


def test_grammars_mix_in_a_batch_and_every_completion_is_a_record(tokenizer: Any, grammar: Any) -> None:
    flags = Schema.of(Flags)
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    requests = make_requests(tokenizer, grammar, 12, seed=2)
    for index in range(0, 12, 2):
        prompt = requests[index].prompt_ids
        requests[index] = GenerationRequest(prompt, compiler.compile(flags), 60)
    completions = list(make_engine(build("qwen3"), tokenizer).generate(requests))
    for index, (request, completion) in enumerate(zip(requests, completions, strict=True)):
        assert len(completion.steps) <= request.max_new_tokens
        assert completion.finish_reason == ("closed" if index % 2 else "stop")
        assert accepts(request.grammar, completion.token_ids)
        (SCHEMA if index % 2 else flags).parse(tokenizer.decode(completion.token_ids))


def test_probabilities_are_of_this_world(tokenizer: Any, grammar: Any) -> None:
    for completion in make_engine(build("llama"), tokenizer).generate(make_requests(tokenizer, grammar, 8)):
        for step in completion.steps:
            assert step.logprob <= step.constrained_logprob + 1e-5
            assert step.constrained_logprob <= 0
            assert step.forced is (step.alternatives == ())
            if step.alternatives:
                assert step.alternatives[0][0] == step.token_id
                assert sum(math.exp(p) for _, p in step.alternatives) <= 1 + 1e-5


def test_a_budget_too_small_to_close_says_so(tokenizer: Any, grammar: Any) -> None:
    request = GenerationRequest(tuple(tokenizer.encode(PREFIX + "x")), grammar, 8)
    (completion,) = make_engine(build("qwen3"), tokenizer).generate([request])
    assert completion.finish_reason == "length"
    assert len(completion.steps) == 8


def test_prompts_without_the_prefix_are_computed_in_full(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    requests = make_requests(tokenizer, grammar, 3)
    ids = (tuple(tokenizer.encode("something else")), requests[0].prompt_ids, tuple(tokenizer.encode(PREFIX)))
    mixed = [GenerationRequest(prompt, grammar, 60) for prompt in ids]
    assert_same(
        list(make_engine(model, tokenizer).generate(mixed)),
        list(make_engine(model, tokenizer, prefix="").generate(mixed)),
    )


class Counting:
    """Counts the tokens that go through a model."""

    def __init__(self, model: Any) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.handle = model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: Any, args: Any, kwargs: Any) -> None:
        self.shapes.append(tuple(kwargs["input_ids"].shape))


def test_every_token_goes_through_the_model_once(tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_rounded", lambda count: count)  # no tokens to spare
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=4, proposer=NoProposer())
    assert engine.packed
    counting = Counting(model)
    requests = make_requests(tokenizer, grammar, 8)
    assert len(list(engine.generate(requests))) == 8
    prefix = len(tokenizer.encode(PREFIX))
    assert all(rows == 1 for rows, _ in counting.shapes)
    assert counting.shapes.count((1, prefix)) == 1
    own = sum(len(request.prompt_ids) - prefix for request in requests)
    passed = sum(width for _, width in counting.shapes) - prefix
    assert own < passed <= own + sum(request.max_new_tokens for request in requests)


def test_training_between_two_generations_is_seen(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer)
    requests = make_requests(tokenizer, grammar, 3)
    before = list(engine.generate(requests))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    batch = torch.tensor([requests[0].prompt_ids])
    model(batch, labels=batch).loss.backward()
    optimizer.step()
    after = list(engine.generate(requests))
    assert_same(after, list(make_engine(model, tokenizer, prefix="").generate(requests)))
    assert [c.token_ids for c in after] != [c.token_ids for c in before]


def test_a_model_in_training_is_left_in_training(tokenizer: Any, grammar: Any) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_model(num_hidden_layers=2, seed=4)
    config = LoraConfig(r=4, lora_dropout=0.5, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(base, config)
    requests = make_requests(tokenizer, grammar, 4)
    expected = list(make_engine(model.eval(), tokenizer).generate(requests))
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    model.base_model.model.lm_head.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    assert_same(list(make_engine(model, tokenizer).generate(requests)), expected)
    assert {name: module.training for name, module in model.named_modules()} == modes
    batch = torch.tensor([requests[0].prompt_ids])
    model(input_ids=batch, labels=batch).loss.backward()
    assert all(p.grad is not None for n, p in model.named_parameters() if "lora_" in n)


def test_requests_are_taken_a_batch_ahead_at_most(tokenizer: Any, grammar: Any) -> None:
    taken = []

    def endless() -> Iterator[GenerationRequest]:
        (request,) = make_requests(tokenizer, grammar, 1, budget=30)
        while True:
            taken.append(1)
            yield request

    completions = make_engine(build("qwen3"), tokenizer, batch_size=3).generate(endless())
    next(completions)
    assert len(taken) <= 4
    for _ in range(3):
        next(completions)
    assert len(taken) <= 7


def test_a_long_prompt_does_not_blow_up_its_batch(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    long = GenerationRequest(tuple(tokenizer.encode(PREFIX + "x" * 500)), grammar, 40)
    short = make_requests(tokenizer, grammar, 6, budget=30)
    requests = [*short[:3], long, *short[3:]]
    counting = Counting(model)
    bounded = list(make_engine(model, tokenizer, max_batch_tokens=600).generate(requests))
    assert max(rows * width for rows, width in counting.shapes) <= 600
    assert_same(bounded, list(make_engine(model, tokenizer, batch_size=1).generate(requests)))


def test_no_requests_no_completions(tokenizer: Any) -> None:
    assert list(make_engine(build("qwen3"), tokenizer).generate([])) == []


def test_threads_get_what_serial_calls_get(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=1)
    requests = [make_requests(tokenizer, grammar, 2, seed=seed, budget=26) for seed in range(8)]
    expected = [[c.token_ids for c in engine.generate(batch)] for batch in requests]
    found: dict[int, list[tuple[int, ...]]] = {}

    def work(index: int) -> None:
        found[index] = [c.token_ids for c in engine.generate(requests[index])]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[index] for index in range(8)] == expected


def test_a_suspended_generator_holds_nobody_up(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=1)
    requests = make_requests(tokenizer, grammar, 3, budget=30)
    suspended = engine.generate(requests)
    first = next(suspended)
    assert [c.token_ids for c in engine.generate(requests)] == [first.token_ids, *(c.token_ids for c in suspended)]


def test_logits_that_are_not_numbers_spoil_their_row_only(tokenizer: Any, grammar: Any) -> None:
    model = build("llama")
    (good,) = make_requests(tokenizer, grammar, 1)
    expected = list(make_engine(model, tokenizer).generate([good]))
    poison = tokenizer.convert_tokens_to_ids("<|im_start|>")
    with torch.no_grad():
        model.get_input_embeddings().weight[poison] = float("nan")
    bad = GenerationRequest((*good.prompt_ids[:-1], poison), grammar, 60)
    failed, fine = make_engine(model, tokenizer).generate([bad, good])
    assert failed.finish_reason == "error"
    assert failed.error is not None
    assert_same([fine], expected)


class FailingMatcher:
    """Has no mask once so many tokens were consumed."""

    def __init__(self, matcher: Any, after: int) -> None:
        self.matcher, self.left = matcher, after

    def fill_mask(self, mask: Any) -> None:
        if self.left == 0:
            raise GrammarError("Grammar: a mask cannot be computed (LexerTooComplex).")
        self.matcher.fill_mask(mask)

    def consume(self, token_id: int) -> None:
        self.matcher.consume(token_id)
        self.left -= 1

    def copy(self) -> FailingMatcher:
        return FailingMatcher(self.matcher.copy(), self.left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.matcher, name)


class FailingGrammar:
    def __init__(self, grammar: Any, after: int) -> None:
        self.grammar, self.after = grammar, after

    def matcher(self) -> Any:
        return FailingMatcher(self.grammar.matcher(), self.after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.grammar, name)


def test_a_grammar_error_spoils_its_row_only(tokenizer: Any, grammar: Any) -> None:
    failing_grammar = FailingGrammar(grammar, after=5)
    one, two = make_requests(tokenizer, grammar, 2)
    failing = GenerationRequest(one.prompt_ids, failing_grammar, 60)
    model = build("qwen3")
    failed, fine = make_engine(model, tokenizer).generate([failing, two])
    assert (failed.finish_reason, len(failed.steps)) == ("error", 5)
    assert failed.error == "Grammar: a mask cannot be computed (LexerTooComplex)."
    assert_same([fine], list(make_engine(model, tokenizer).generate([two])))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_makes_valid_records_too(tokenizer: Any, grammar: Any, dtype: torch.dtype) -> None:
    model = build("qwen3").to(dtype)
    for completion in make_engine(model, tokenizer).generate(make_requests(tokenizer, grammar, 6)):
        assert completion.finish_reason in ("stop", "closed")
        SCHEMA.parse(tokenizer.decode(completion.token_ids))
