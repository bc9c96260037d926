"""Ctrl-C at any place, a fork at any time: whoever asks afterwards gets the right answer, and nobody waits for ever."""

from __future__ import annotations

import ctypes
import functools
import os
import pickle
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from test_engine import SCHEMA, VOCAB, assert_same, build, make_engine, make_requests

from extractft.constraints import GrammarCompiler
from extractft.inference import TransformersEngine
from extractft.inference.cpu import transposed_linears as linears
from extractft.processes import fork_safe_lock, raised_by_signal

SECONDS = 20
PACKAGE = Path(linears.__file__).parent.parent.parent
ROOMS = tuple(str(PACKAGE / room) for room in ("constraints", "speculation", "inference"))
WATCHED = (*ROOMS, "contextlib.py", "threading.py", "grad_mode.py")
"""Files whose function entries are places to interrupt at: ours, and those that hold locks and modes."""


@pytest.fixture(scope="module")
def grammar(tokenizer: Any) -> Any:
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    return compiler.compile(SCHEMA, max_string_length=100)


@pytest.fixture(scope="module")
def engine(tokenizer: Any) -> TransformersEngine:
    made: TransformersEngine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    return made


def elsewhere(work: Callable[[], Any]) -> Any:
    """What comes of work in another thread, which has to come to an end."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits for ever"
    return found[0]


def interrupted_at(place: int | None, work: Callable[[], Any]) -> tuple[int, bool]:
    """Do work with an interrupt at one of the function entries; how many there were, and whether it came."""
    seen, came = 0, False

    def trace(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal seen, came
        name = frame.f_code.co_filename
        if event != "call" or not (name.startswith(ROOMS) or name.endswith(WATCHED[3:])):
            return
        seen += 1
        if seen == place:
            came = True
            raise KeyboardInterrupt

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        came = True
    finally:
        sys.settrace(None)
    return seen, came


def assert_in_order(engine: TransformersEngine) -> None:
    model: Any = engine._model
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not engine._turn.locked()
    assert not engine._trial.locked()
    assert not engine._sequences
    assert len(engine._scheduler) == 0
    assert not any(linears._OWN in vars(module) or "forward" in vars(module) for module in model.modules())
    assert model.config._attn_implementation != "extractft_slots"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupts of generators that close
def test_an_interrupt_at_any_function_entry_hurts_nobody_else(
    engine: TransformersEngine, tokenizer: Any, grammar: Any
) -> None:
    requests = make_requests(tokenizer, grammar, 2, budget=4)
    expected = list(engine.generate(requests))
    total, _ = interrupted_at(None, lambda: list(engine.generate(requests)))
    assert total > 200
    places = [*range(1, 70), *range(70, total - 40, total // 15), *range(total - 40, total + 1)]
    came = 0
    for place in places:
        came += interrupted_at(place, lambda: list(engine.generate(requests)))[1]
        assert torch.is_grad_enabled(), place
        if place % 3 == 0:
            assert_same(elsewhere(lambda: list(engine.generate(requests))), expected)
        assert_same(list(engine.generate(requests)), expected)
        assert_in_order(engine)
    assert came > len(places) / 2


def test_others_in_the_batch_get_their_answers_when_the_runner_is_interrupted(
    engine: TransformersEngine, tokenizer: Any, grammar: Any
) -> None:
    requests = make_requests(tokenizer, grammar, 6, budget=12)
    expected = list(engine.generate(requests))
    total, _ = interrupted_at(None, lambda: list(engine.generate(requests[:3])))
    rng = random.Random(0)
    for _ in range(25):
        place = rng.randrange(1, total)
        found: list[Any] = []

        def others(found: list[Any] = found) -> None:
            found.extend(engine.generate(requests))

        thread = threading.Thread(target=others, daemon=True)
        thread.start()
        interrupted_at(place, lambda: list(engine.generate(requests[:3])))
        thread.join(SECONDS)
        assert not thread.is_alive(), f"others wait for ever after an interrupt at {place}"
        assert_same(found, expected)
    assert_in_order(engine)


@contextmanager
def alarms(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class TimeLimit(Exception):
    """As task queues raise it, out of a signal handler: no `KeyboardInterrupt`, and meant for the main thread alone."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeLimit])
def test_signals_at_random_moments(
    engine: TransformersEngine, tokenizer: Any, grammar: Any, kind: type[BaseException]
) -> None:
    requests = make_requests(tokenizer, grammar, 5, budget=12)
    expected = list(engine.generate(requests))
    rng, hits, armed = random.Random(1), 0, False

    def handler(*_: Any) -> None:
        if armed:
            raise kind

    end = time.monotonic() + 3
    with alarms(handler):
        while time.monotonic() < end:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 4e-3), 0.05)
                while time.monotonic() < end:  # a signal in a destructor is lost, which is Python's own affair
                    list(engine.generate(requests))
                    engine._cancel(())
            except kind:
                hits += 1
            finally:
                armed = False
    assert hits > 20
    assert_same(elsewhere(lambda: list(engine.generate(requests))), expected)
    assert_same(list(engine.generate(requests)), expected)
    assert_in_order(engine)


def test_an_exception_thrown_into_a_thread_hurts_that_thread_alone(
    engine: TransformersEngine, tokenizer: Any, grammar: Any
) -> None:
    requests = make_requests(tokenizer, grammar, 5, budget=12)
    expected = list(engine.generate(requests))
    rng, ended = random.Random(2), []

    def endless() -> None:
        try:
            while True:
                list(engine.generate(requests))
        except SystemExit:
            ended.append(True)

    for _ in range(10):
        thread = threading.Thread(target=endless, daemon=True)
        thread.start()
        time.sleep(rng.uniform(0.001, 0.02))
        assert_same(list(engine.generate(requests)), expected)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
        )
        assert_same(elsewhere(lambda: list(engine.generate(requests))), expected)
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert len(ended) == 10
    assert_in_order(engine)


def test_a_time_limit_out_of_a_signal_handler_is_no_failed_pass() -> None:
    class Handler:
        def __call__(self, *_: Any) -> None:
            raise TimeLimit

        def method(self, *_: Any) -> None:
            raise TimeLimit

    for handler in (Handler(), Handler().method, functools.partial(Handler().method)):
        with alarms(handler), pytest.raises(TimeLimit) as caught:
            signal.raise_signal(signal.SIGALRM)
        assert caught.value.__traceback__ is not None
        with alarms(handler):
            assert raised_by_signal(caught.value)
    with alarms(lambda *_: None), pytest.raises(TimeLimit) as caught:
        raise TimeLimit
    assert not raised_by_signal(caught.value)


def test_a_call_from_within_a_pass_is_refused_and_does_not_hang(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    engine = make_engine(model, tokenizer)
    requests = make_requests(tokenizer, grammar, 2, budget=8)
    expected = list(engine.generate(requests))
    handle = model.register_forward_pre_hook(lambda *_: list(engine.generate(requests)))
    with pytest.raises(RuntimeError, match="from within"):
        list(engine.generate(requests[:1]))
    handle.remove()
    assert_same(list(engine.generate(requests)), expected)


def in_child(work: Callable[[], Any]) -> Any:
    """What comes of work in a forked process; `None` if it does not come to an end."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as file:
                pickle.dump(work(), file)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        ready, _, _ = select.select([file], [], [], SECONDS)
        data = file.read() if ready else b""
        if not ready:
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_forked_beside_a_running_batch_decodes(tokenizer: Any, grammar: Any) -> None:
    engine = make_engine(build("qwen3"), tokenizer, batch_size=4)
    requests = make_requests(tokenizer, grammar, 4, budget=12)
    expected = list(engine.generate(requests))
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            list(engine.generate(requests))

    thread = threading.Thread(target=busy, daemon=True)
    thread.start()
    try:
        for wait in (0.05, 0.013, 0.027, 0.031):
            time.sleep(wait)
            begun = engine.generate(requests)
            first = next(begun)
            ids = in_child(lambda: [c.token_ids for c in engine.generate(requests)])
            assert ids == [completion.token_ids for completion in expected]
            rest = in_child(lambda begun=begun: [c.token_ids for c in begun])  # type: ignore[misc]
            assert rest == [completion.token_ids for completion in expected[1:]]
            assert_same([first, *begun], expected)
    finally:
        stop.set()
        thread.join(SECONDS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_lock_of_the_package_is_held_in_a_forked_process(tokenizer: Any) -> None:
    from extractft.constraints import grammar as module
    from extractft.modeling.quiet_libraries import LOADING_LOCK
    from extractft.speculation.proposal_statistics import ProposalStatistics

    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    compiled = compiler.compile(SCHEMA, max_string_length=100)
    engine = make_engine(build("qwen3"), tokenizer)
    locks = [
        fork_safe_lock(),
        LOADING_LOCK,
        module._vocabularies_lock,
        compiler._lock,
        compiled._lock,
        ProposalStatistics()._lock,
        engine._turn,
        engine._trial,
        engine._reference._lock,
        engine._transposed._lock,
    ]
    for lock in locks:
        assert lock.acquire(timeout=1)
    try:
        assert in_child(lambda: [lock.locked() for lock in locks[1:-5]]) == [False] * (len(locks) - 6)
        assert in_child(lambda: len(compiled.matcher().forced_tokens()) > 0)
    finally:
        for lock in locks:
            lock.release()


def test_every_lock_of_the_package_survives_a_fork() -> None:
    """A module with threads or locks of its own sees to forks itself.

    Sequences are their callers' own, the supervisor of a server and the HTTP service are processes of their own, and a
    command's progress is shown by a thread that a forked process does without.
    """
    source, exempt = PACKAGE, ("sequence.py", "supervisor.py", "progress_report.py", "http_server.py")
    words = ("threading.Lock(", "threading.RLock(", "threading.Condition(", "threading.Event(", "threading.Thread(")
    found = []
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if any(word in text for word in words) and "register_at_fork" not in text and path.name not in exempt:
            found.append(path.name)
    assert found == []
