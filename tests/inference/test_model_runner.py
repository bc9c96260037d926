"""The packed engine against the plain one: the same completions, whatever is drafted, batched or interrupted."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_engine import MODELS, PREFIX, SCHEMA, VOCAB, Flags, assert_same, build, make_engine, make_requests

from extractft.completion import GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.errors import GrammarError
from extractft.inference import ReferenceEngine
from extractft.inference import model_runner as packed
from extractft.inference.kv_cache import KVCache
from extractft.inference.model_runner import ModelRunner, Segment
from extractft.inference.model_state import evaluating
from extractft.inference.scheduler import _DRAFTED_TOKENS, Scheduler
from extractft.schema import Schema
from extractft.speculation.draft_acceptance import MAX_DRAFT, Draft
from extractft.speculation.drafter import Drafter, _Node
from extractft.speculation.simple_proposers import NoProposer

PACKED = [name for name in MODELS if name != "lfm2"]


@pytest.fixture(scope="module")
def compiler(tokenizer: Any) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)


@pytest.fixture(scope="module")
def grammar(compiler: GrammarCompiler) -> Any:
    return compiler.compile(SCHEMA, max_string_length=100)


def reference(model: Any, tokenizer: Any, *, batch_size: int = 16, prefix: str = PREFIX) -> ReferenceEngine:
    return ReferenceEngine(
        model,
        end_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        config=GenerationConfig(batch_size=batch_size),
        prefix_ids=tokenizer.encode(prefix),
    )


def with_sources(requests: list[Any], completions: list[Any], seed: int = 0) -> list[Any]:
    """Sources that the records copy from, with something wrong here and there."""
    rng = random.Random(seed)
    made = []
    for request, completion in zip(requests, completions, strict=True):
        source = [i if rng.random() < 0.9 else rng.randrange(256) for i in completion.token_ids]
        made.append(replace(request, draft_ids=tuple(source)))
    return made


@pytest.mark.parametrize("name", MODELS)
def test_which_models_are_packed(tokenizer: Any, name: str) -> None:
    model = build(name)
    before = model.config._attn_implementation
    assert make_engine(model, tokenizer).packed is (name in PACKED)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("name", MODELS)
def test_drafted_is_undrafted_is_batched_is_the_plain_way(tokenizer: Any, grammar: Any, name: str) -> None:
    model = build(name)
    requests = make_requests(tokenizer, grammar, 9, seed=5)
    expected = list(reference(model, tokenizer).generate(requests))
    requests = with_sources(requests, expected)
    for batch_size in (1, 4, 9):
        engine = make_engine(model, tokenizer, batch_size=batch_size)
        assert_same(list(engine.generate(requests)), expected)
        if name in PACKED:
            assert 0 < engine.statistics.accepted < engine.statistics.drafted
    undrafted = make_engine(model, tokenizer, batch_size=4, proposer=NoProposer())
    assert_same(list(undrafted.generate(requests)), expected)
    assert undrafted.statistics.drafted == 0


@pytest.mark.parametrize("name", PACKED)
def test_each_branch_of_a_tree_sees_itself_alone(name: str) -> None:
    model = build(name)
    #        2 3 4 | 5 -> 6 -> 7
    #              |   -> 8
    #              | 9 -> 5
    tree, parents = [5, 9, 6, 5, 8, 7], [4, 4, 5, 6, 5, 7]
    branches = [[0, 2, 5], [0, 4], [1, 3]]
    packed = ModelRunner(model, [11, 12, 13, 14])
    packed.cache.reserve(3, 40)
    with evaluating(model):
        packed.forward([Segment(1, 4, [2, 3], 0, shared=True), Segment(0, 0, [1, 2], 0)])
        spans = [Segment(0, 2, [7], 1), Segment(1, 6, [4, *tree], 7, shared=True, parents=[p - 4 for p in parents])]
        alone, found = packed.forward(spans).split([1, 7])
        for branch in branches:
            ids = [11, 12, 13, 14, 2, 3, 4, *(tree[i] for i in branch)]
            expected = model(torch.tensor([ids])).logits[0, 6:]
            torch.testing.assert_close(found[[0, *(1 + i for i in branch)]], expected, rtol=1e-4, atol=1e-4)
        # The longest branch turns out right: its keys and values close ranks, and the row goes on behind them.
        slots, sources, targets = torch.tensor([1, 1]), torch.tensor([5, 8]), torch.tensor([4, 5])
        packed.cache.move(slots, sources, targets)
        after = packed.forward([Segment(1, 10, [3], 1, shared=True)])
        expected = model(torch.tensor([[11, 12, 13, 14, 2, 3, 4, 5, 6, 7, 3]])).logits[0, -1:]
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(alone, model(torch.tensor([[1, 2, 7]])).logits[0, -1:], rtol=1e-4, atol=1e-4)


def test_branches_are_taken_and_change_nothing(tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []
    move = KVCache.move

    def counting(store: KVCache, *columns: torch.Tensor) -> None:
        moved.append(len(columns[0]))
        move(store, *columns)

    monkeypatch.setattr(KVCache, "move", counting)
    model = build("qwen3")
    requests = make_requests(tokenizer, grammar, 120, seed=7)
    expected = list(reference(model, tokenizer).generate(requests))
    for batch_size in (1, 8):
        engine = make_engine(model, tokenizer, batch_size=batch_size)
        assert_same(list(engine.generate(with_sources(requests, expected))), expected)
        assert sum(moved) > 10
        moved.clear()


def test_hundreds_of_texts_and_grammars_agree(tokenizer: Any, compiler: GrammarCompiler, grammar: Any) -> None:
    flags = compiler.compile(Schema.of(Flags))
    numbers = compiler.compile(Schema.of(list[int]))
    rng = random.Random(1)
    requests = make_requests(tokenizer, grammar, 300, seed=11, budget=24)
    requests = [replace(request, grammar=rng.choice([grammar, flags, numbers])) for request in requests]
    for index in range(0, 300, 7):  # some do not begin with the prefix, one is nothing but the prefix
        requests[index] = replace(requests[index], prompt_ids=requests[index].prompt_ids[index % 5 + 1 :])
    requests[3] = replace(requests[3], prompt_ids=tuple(tokenizer.encode(PREFIX)))
    model = build("qwen3")
    expected = list(reference(model, tokenizer, prefix="", batch_size=32).generate(requests))
    engine = make_engine(model, tokenizer, batch_size=13)
    found = list(engine.generate(with_sources(requests, expected)))
    assert_same(found, expected)
    assert {completion.finish_reason for completion in found} == {"stop", "closed"}
    assert engine.statistics.passes < sum(len(completion.steps) for completion in found) / 13


def test_what_fails_outside_a_row_reaches_the_caller(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(tokenizer, grammar, 3)
    engine = make_engine(build("qwen3"), tokenizer)
    expected = list(engine.generate(requests))
    poisoned = [replace(requests[0], prompt_ids=()), replace(requests[0], draft_ids=(-1,))]
    for request in poisoned:
        with pytest.raises((ValueError, OverflowError)):
            list(engine.generate([request]))
    assert_same(list(engine.generate(requests)), expected)

    def no_memory() -> Any:
        raise MemoryError("no room for a copy of the weights")

    monkeypatch.setattr(engine, "_linears", no_memory)
    with pytest.raises(MemoryError, match="no room"):
        list(engine.generate(requests))
    monkeypatch.undo()
    assert_same(list(engine.generate(requests)), expected)


def test_a_grammar_that_fails_on_a_guess_does_not_fail_for_the_row(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, end = build("qwen3"), tokenizer.eos_token_id
    requests = make_requests(tokenizer, grammar, 6, seed=2)
    expected = list(reference(model, tokenizer).generate(requests))
    disabled: list[Any] = []
    child = _Node.child

    def failing(node: Any, token_id: int, probability: float) -> Any:
        if len(disabled) < 3 and len(node.record) > 4:
            disabled.append(node.matcher._matcher)
            node.matcher._matcher.consume_token(end)  # never allowed there: the matcher is in error from now on
            raise GrammarError("too complex")
        return child(node, token_id, probability)

    monkeypatch.setattr(_Node, "child", failing)
    engine = make_engine(model, tokenizer, batch_size=3)
    assert_same(list(engine.generate(with_sources(requests, expected))), expected)
    assert len(disabled) == 3


def test_prompts_longer_than_a_pass_are_run_in_pieces(tokenizer: Any, grammar: Any) -> None:
    model = build("llama")
    requests = make_requests(tokenizer, grammar, 5)
    long = [GenerationRequest(tuple(tokenizer.encode(PREFIX + "ab c" * n)), grammar, 40) for n in (300, 150, 129)]
    requests = [*requests[:2], long[0], *requests[2:4], *long[1:], requests[4]]
    expected = list(reference(model, tokenizer, batch_size=1).generate(requests))
    engine = make_engine(model, tokenizer)
    counting: list[int] = []
    hook = model.register_forward_pre_hook(lambda m, a, k: counting.append(k["input_ids"].shape[1]), with_kwargs=True)
    assert_same(list(engine.generate(requests)), expected)
    hook.remove()
    assert max(counting) <= 512 + 8 * 25


def test_rows_share_the_tokens_that_a_pass_may_draft(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[int]] = []
    plan = Scheduler._plan

    def planned(batch: Scheduler) -> Any:
        passes.append([])
        return plan(batch)

    def greedy(drafter: Drafter, matcher: Any, masks: Any, first_mask: int, *, limit: int, threshold: float) -> Draft:
        passes[-1].append(limit)
        return Draft([0] * limit, [-1] * limit) if len(passes) == 1 else Draft()

    monkeypatch.setattr(Scheduler, "_plan", planned)
    monkeypatch.setattr(Drafter, "draft", greedy)
    prompts = [tuple(tokenizer.encode(PREFIX + "ab")) for _ in range(8)]
    requests = [GenerationRequest(prompt, grammar, 200) for prompt in prompts]
    next(iter(make_engine(build("llama"), tokenizer, batch_size=8).generate(requests)))
    assert passes[0] == [_DRAFTED_TOKENS // 8] * 8
    assert passes[1] == [32, 36, 42, 51, MAX_DRAFT, MAX_DRAFT, MAX_DRAFT, MAX_DRAFT]


def test_tokens_to_spare_change_nothing(tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = range(1, 800)
    assert all(count <= packed._rounded(count) <= max(count, count * 1.07) for count in counts)
    assert len({packed._rounded(count) for count in counts}) < 128
    model = build("qwen3-windows")
    requests = make_requests(tokenizer, grammar, 23, seed=4)
    widths: set[int] = set()
    hook = model.register_forward_pre_hook(lambda _, a, k: widths.add(k["input_ids"].shape[1]), with_kwargs=True)
    found = list(make_engine(model, tokenizer, batch_size=23).generate(requests))
    hook.remove()
    assert any(width > 32 for width in widths)
    assert all(width == packed._rounded(width) for width in widths)
    monkeypatch.setattr(packed, "_rounded", lambda count: count)
    assert_same(list(make_engine(model, tokenizer, batch_size=23).generate(requests)), found)


def test_a_prefix_longer_than_a_pass(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3-windows")
    prefix = "0123456789" * 60
    prompts = [tuple(tokenizer.encode(prefix + text)) for text in ("a", "bcd", "efghij")]
    requests = [GenerationRequest(prompt, grammar, 40) for prompt in prompts]
    expected = list(reference(model, tokenizer, prefix="").generate(requests))
    assert_same(list(make_engine(model, tokenizer, prefix=prefix).generate(requests)), expected)


def test_memory_stays_bounded_over_a_thousand_requests(tokenizer: Any, compiler: GrammarCompiler) -> None:
    model, flags = build("qwen3"), compiler.compile(Schema.of(Flags))
    engine = make_engine(model, tokenizer, batch_size=8, max_batch_tokens=4000)
    store, sizes, taken = engine._scheduler.model.cache, [], []

    def requests() -> Iterator[GenerationRequest]:
        rng = random.Random(0)
        for index in range(1000):
            taken.append(index)
            sizes.append(store.slots * store.positions)
            text = "x" * rng.randrange(1, 1500 if index % 100 == 0 else 40)
            yield GenerationRequest(tuple(tokenizer.encode(PREFIX + text)), flags, 60)

    for count, completion in enumerate(engine.generate(requests())):
        assert completion.finish_reason == "stop"
        assert len(taken) <= count + 2 * 8 + 1
    assert count == 999
    assert max(sizes) <= 4000 + 8 * 64
    assert store.nbytes == 0


def test_poison_stays_in_its_row_and_leaves_with_it(tokenizer: Any, grammar: Any) -> None:
    model = build("llama")
    good = make_requests(tokenizer, grammar, 12, seed=3)
    expected = list(reference(model, tokenizer).generate(good))
    poison = tokenizer.convert_tokens_to_ids("<|im_start|>")
    with torch.no_grad():
        model.get_input_embeddings().weight[poison] = float("nan")
    bad = GenerationRequest((*good[0].prompt_ids, poison, *[5] * 60), grammar, 60)
    mixed = [request for pair in zip([bad] * 12, good, strict=True) for request in pair]
    found = list(make_engine(model, tokenizer, batch_size=3).generate(mixed))
    assert all(completion.finish_reason == "error" for completion in found[::2])
    assert_same(found[1::2], expected)


# ----------------------------------------------------------------------------------------------------- many callers


def test_threads_share_passes(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=8)
    batches = [make_requests(tokenizer, grammar, 3, seed=seed, budget=20) for seed in range(8)]
    expected = [list(reference(model, tokenizer).generate(batch)) for batch in batches]
    found: dict[int, Any] = {}
    ready = threading.Barrier(8)

    def work(index: int) -> None:
        ready.wait(30)
        found[index] = list(engine.generate(batches[index], batch_size=1))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for index in range(8):
        assert_same(found[index], expected[index])
    alone = make_engine(model, tokenizer, batch_size=8)
    for batch in batches:
        list(alone.generate(batch, batch_size=1))
    assert engine.statistics.passes < alone.statistics.passes / 2


def test_what_drafts_learned_from_one_caller_is_in_no_answer_of_another(tokenizer: Any, grammar: Any) -> None:
    """Tokens and probabilities are those of an engine that has seen nothing, also after `reset`."""
    model = build("qwen3")
    seen, asked = (make_requests(tokenizer, grammar, 20, seed=seed) for seed in (21, 22))
    plain = reference(model, tokenizer)
    seen = with_sources(seen, list(plain.generate(seen)))
    expected = list(plain.generate(asked))
    asked = with_sources(asked, expected)
    engine = make_engine(model, tokenizer, batch_size=4)
    assert_same(list(engine.generate(asked)), expected)
    list(engine.generate(seen))
    assert_same(list(engine.generate(asked)), expected)
    engine.reset()
    assert_same(list(engine.generate(asked)), expected)
    assert engine.statistics.accepted > 0


def test_a_dropped_generator_leaves_no_rows_behind(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 12)
    expected = list(engine.generate(requests))
    dropped = engine.generate(requests)
    next(dropped)
    dropped.close()
    assert len(engine._scheduler) == 0
    assert not engine._waiting
    assert engine._scheduler.model.cache.nbytes == 0
    assert_same(list(engine.generate(requests)), expected)


def test_a_failing_iterable_fails_its_own_call(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 8)
    expected = list(engine.generate(requests))

    def failing() -> Iterator[GenerationRequest]:
        yield from requests[:6]
        raise OSError("the disk is gone")

    others = engine.generate(requests)
    first = next(others)
    found: list[Any] = []
    with pytest.raises(OSError, match="the disk is gone"):
        found.extend(engine.generate(failing()))
    assert_same(found, expected[: len(found)])
    assert_same([first, *others], expected)


class Interrupting:
    """Raises in the model's forward pass, once."""

    def __init__(self, model: Any, error: BaseException) -> None:
        self.error, self.calls = error, 0
        self.hook = model.register_forward_pre_hook(self._maybe)

    def _maybe(self, module: Any, args: Any) -> None:
        self.calls += 1
        if self.calls == 4:
            raise self.error


def test_an_interrupt_reaches_the_caller_and_passes(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 8)
    expected = list(engine.generate(requests))
    interrupting = Interrupting(model, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        list(engine.generate(requests))
    interrupting.hook.remove()
    assert len(engine._scheduler) == 0
    assert_same(list(engine.generate(requests)), expected)


def test_an_interrupt_of_one_caller_does_not_fail_another(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 8)
    expected = list(engine.generate(requests))
    suspended = engine.generate(requests)
    first = next(suspended)
    interrupting = Interrupting(model, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        list(engine.generate(requests))
    interrupting.hook.remove()
    assert_same([first, *suspended], expected)


def test_weights_that_change_under_a_suspended_call_are_seen_whole(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=2)
    requests = make_requests(tokenizer, grammar, 6)
    suspended = engine.generate(requests)
    next(suspended)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.25)
    after = list(reference(model, tokenizer).generate(requests))
    assert_same(list(engine.generate(requests)), after)
    assert_same(list(suspended)[2:], after[3:])
