"""What fails in a pass hurts the row that is to blame, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_engine import SCHEMA, VOCAB, assert_same, build, make_engine, make_requests

from extractft.completion import GenerationRequest
from extractft.constraints import GrammarCompiler
from extractft.inference.cpu import prepacked_linears as prepacked
from extractft.inference.cpu import transposed_linears as linears
from extractft.inference.kv_cache import KVCache, _Layer
from extractft.inference.model_runner import ModelRunner
from extractft.testing import tiny_model

SECONDS = 20
LONG = 300


@pytest.fixture(scope="module")
def grammar(tokenizer: Any) -> Any:
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    return compiler.compile(SCHEMA, max_string_length=100)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Work begun beside, and what comes of it."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def finished(thread: threading.Thread, outcome: list[Any]) -> Any:
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits for ever"
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def no_memory_for_long_passes(model: Any) -> Any:
    def refuse(module: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[1] > LONG:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return model.register_forward_pre_hook(refuse, with_kwargs=True)


def test_a_request_that_uses_up_the_memory_is_answered_so_and_others_are_not_hurt(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=8)
    requests = make_requests(tokenizer, grammar, 6, budget=30)
    expected = list(engine.generate(requests))
    long = GenerationRequest(requests[0].prompt_ids + (65,) * LONG, grammar, 40)
    no_memory_for_long_passes(model)
    other = engine.generate(requests, batch_size=2)
    first = next(other)
    mixed = list(engine.generate([*requests[:2], long, *requests[2:]]))
    assert mixed[2].finish_reason == "error"
    assert "memory" in (mixed[2].error or "")
    assert_same([*mixed[:2], *mixed[3:]], expected)
    assert_same([first, *other], expected)
    assert len(engine._scheduler) == 0


def test_another_error_of_one_row_is_its_own_callers(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer, batch_size=8)
    requests = make_requests(tokenizer, grammar, 4, budget=30)
    expected = list(engine.generate(requests))
    odd = GenerationRequest((*requests[0].prompt_ids, 7, 7, 7), grammar, 30)

    def refuse(module: Any, args: Any, kwargs: Any) -> None:
        ids = kwargs["input_ids"][0].tolist()
        if any(ids[place : place + 3] == [7, 7, 7] for place in range(len(ids))):
            raise RuntimeError("a kernel failed")

    model.register_forward_pre_hook(refuse, with_kwargs=True)
    other = engine.generate(requests, batch_size=2)
    first = next(other)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        list(engine.generate([odd]))
    assert_same([first, *other], expected)


def test_memory_that_runs_out_while_slots_are_made_is_asked_for_again_row_by_row(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 6, budget=30)
    expected = list(engine.generate(requests))
    other = engine.generate(requests, batch_size=2)
    first = next(other)
    reshape, calls = _Layer.reshape, []

    def fails_once(layer: _Layer, slots: int, places: int) -> None:
        calls.append(slots)
        if len(calls) == 2:
            raise RuntimeError("CUDA out of memory")
        reshape(layer, slots, places)

    monkeypatch.setattr(_Layer, "reshape", fails_once)
    assert_same(list(engine.generate(requests, batch_size=4)), expected)
    assert len(calls) >= 2
    assert_same([first, *finished(*in_thread(lambda: list(other)))], expected)


class InterruptedOnce:
    """A grammar whose first matcher is interrupted."""

    def __init__(self, grammar: Any) -> None:
        self._grammar, self._interrupted = grammar, False

    def matcher(self) -> Any:
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt
        return self._grammar.matcher()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grammar, name)


def test_an_interrupt_while_rows_join_loses_no_other_callers_request(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 3, budget=30)
    expected = list(engine.generate(requests))
    interrupted = replace(requests[0], grammar=InterruptedOnce(grammar))
    with engine._turn:  # so that the other thread has to wait
        thread, outcome = in_thread(lambda: list(engine.generate([interrupted])))
        while not engine._waiting:
            assert thread.is_alive()
    with pytest.raises(KeyboardInterrupt):
        list(engine.generate(requests[1:2]))
    assert_same(finished(thread, outcome), expected[:1])
    assert_same(list(engine.generate(requests)), expected)


def test_too_little_memory_to_try_a_model_says_nothing_of_the_model(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(build("qwen3"), tokenizer)
    requests = make_requests(tokenizer, grammar, 2)

    def fails(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(ModelRunner, "_probed", fails)
        with pytest.raises(torch.OutOfMemoryError):
            list(engine.generate(requests))
    assert len(list(engine.generate(requests))) == 2
    assert engine.packed


def test_a_stream_begun_in_inference_mode_goes_on_outside(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=2)
    requests = make_requests(tokenizer, grammar, 5)
    expected = list(engine.generate(requests))
    with torch.inference_mode():
        begun = engine.generate(requests)
        first = next(begun)
    assert_same([first, *begun], expected)
    with torch.inference_mode():
        assert_same(list(engine.generate(requests)), expected)


@pytest.mark.parametrize("merge_first", [True, False])
def test_merging_an_adapter_between_two_calls_is_seen(
    tokenizer: Any, grammar: Any, monkeypatch: pytest.MonkeyPatch, merge_first: bool
) -> None:
    monkeypatch.setattr(linears, "_LEAST_WEIGHTS", 1)
    monkeypatch.setattr(prepacked, "_LEAST_BYTES", 0)
    monkeypatch.setattr(prepacked, "_is_faster", lambda threads: True)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "o_proj"], init_lora_weights=False)
    model: Any = get_peft_model(tiny_model(num_hidden_layers=2, seed=4), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.mul_(5)
    requests = make_requests(tokenizer, grammar, 8, budget=40)
    if merge_first:
        model.merge_adapter()
    engine = make_engine(model, tokenizer)
    before = [completion.token_ids for completion in engine.generate(requests)]
    if merge_first:
        model.unmerge_adapter()
    else:
        model.merge_adapter()
    assert [completion.token_ids for completion in engine.generate(requests)] == before
    with model.disable_adapter():
        plain = [completion.token_ids for completion in make_engine(model, tokenizer).generate(requests)]
    assert plain != before  # the adapter matters


def test_forwards_are_put_back_whatever_comes_between() -> None:
    layers = [torch.nn.Linear(2, 2) for _ in range(3)]
    own = layers[1].forward
    layers[1].forward = own  # someone else's, such as that of a library that moves weights between devices

    def interrupted() -> Any:
        yield lambda rows: rows
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), linears.replaced(layers, interrupted()):  # type: ignore[arg-type]
        raise AssertionError
    with linears.replaced(layers, [lambda rows: rows] * 3):
        assert torch.equal(layers[1](torch.ones(1, 2)), torch.ones(1, 2))
    assert [vars(layer).get("forward") for layer in layers] == [None, own, None]


def test_slots_grow_one_layer_at_a_time_and_not_beyond_what_was_promised() -> None:
    store = KVCache()
    store.reserve(8, 640, 700)
    tokens, place = torch.ones(1, 2, 16), torch.tensor([0])
    for layer in range(4):
        store.write(layer, tokens, tokens, place, place)
    store.reserve(8, 641, 700)
    assert store.positions == 704  # not 800
    assert all(bool((store.read(layer, 0, 1, 1)[0] == 1).all()) for layer in range(4))
    store.reserve(8, 705)
    assert store.positions == 880
