"""The asynchronous twins: the same records on an event loop, and cancellation that stops what was asked for."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig
from extractft.completion import Completion, GenerationRequest
from extractft.errors import ConfigError, EmptyTextError, ExtractionError, LowConfidenceError
from extractft.testing import scripted_extractor


class Order(BaseModel):
    """An order."""

    item: Annotated[str, Field(max_length=6)]
    note: str | None = Field(default=None, max_length=4)


TEXTS = ["tea for b", "rice now", "one 茶", "salt b", "oil and é"]


@pytest.fixture(scope="module")
def local(tiny_base: Path) -> Extractor[Order]:
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=GenerationConfig(batch_size=4))


def names(count: int) -> dict[str, Order]:
    return {f"text {n}": Order(item=f"i{n}") for n in range(count)}


async def collect(outcomes: AsyncIterator[Any]) -> list[Any]:
    return [outcome async for outcome in outcomes]


async def later(texts: list[str], seconds: float = 0.0) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(seconds)
        yield text


def test_the_same_records_as_without_a_loop(local: Extractor[Order]) -> None:
    expected = list(local.extract_many(TEXTS))
    assert asyncio.run(collect(local.aextract_many(TEXTS))) == expected
    assert asyncio.run(collect(local.aextract_many(later(TEXTS), batch_size=2))) == expected

    async def each() -> list[Order]:
        return list(await asyncio.gather(*(local.aextract(text) for text in TEXTS)))

    assert asyncio.run(each()) == expected


def test_long_texts_are_put_together(tiny_base: Path) -> None:
    settings = GenerationConfig(max_text_tokens=32, split_long_texts=True, overlap_tokens=0)
    extractor = Extractor.from_base(Order, base_model=str(tiny_base), generation=settings)
    text = "Tea is here. " * 8
    assert len(extractor._pipeline.windows(text)) > 1
    here, there = extractor._pipeline.run_one(text), asyncio.run(extractor._async_pipeline.run_one(text))
    assert not isinstance(there, ExtractionError)
    assert (there.output, there.raw_output, len(there.windows)) == (here.output, here.raw_output, len(here.windows))


def test_errors_stay_with_their_texts_and_come_in_order() -> None:
    extractor = scripted_extractor(Order, names(3))
    texts = ["text 0", " ", "text 1", 7, "text 2"]
    outcomes = asyncio.run(collect(extractor.aextract_many(texts)))  # type: ignore[arg-type]
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Order, EmptyTextError, Order, ExtractionError, Order]
    with pytest.raises(EmptyTextError):
        asyncio.run(extractor.aextract(""))


def test_arguments_are_checked_at_the_call() -> None:
    extractor = scripted_extractor(Order, names(1))
    for texts in ("one text", {"a": 1}, {1, 2}, 7):
        with pytest.raises(TypeError, match="expected an iterable of texts"):
            extractor.aextract_many(texts)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="batch_size"):
        extractor.aextract_many(["text 0"], batch_size=0)
    with pytest.raises(ConfigError, match="min_confidence"):
        extractor.aextract_many(["text 0"], min_confidence=2)


def test_an_iterable_that_fails_gives_what_it_gave_first() -> None:
    extractor = scripted_extractor(Order, names(3))

    async def texts() -> AsyncIterator[str]:
        yield "text 0"
        yield "text 1"
        raise OSError("the connection is gone")

    got: list[Any] = []

    async def run() -> None:
        async for outcome in extractor.aextract_many(texts()):
            got.append(outcome)  # noqa: PERF401 (what came before the error is kept)

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert got == [Order(item="i0"), Order(item="i1")]


def test_records_do_not_wait_for_texts_that_are_not_there_yet() -> None:
    extractor = scripted_extractor(Order, names(2))

    async def run() -> None:
        arrived = asyncio.Event()

        async def texts() -> AsyncIterator[str]:
            yield "text 0"
            await asyncio.wait_for(arrived.wait(), 20)
            yield "text 1"

        outcomes = extractor.aextract_many(texts())
        assert await asyncio.wait_for(anext(outcomes), 20) == Order(item="i0")
        arrived.set()
        assert await anext(outcomes) == Order(item="i1")

    asyncio.run(run())


def test_texts_are_read_two_batches_ahead_at_most() -> None:
    extractor = scripted_extractor(Order, names(50))
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for text in names(50):
            read += 1
            yield text

    async def run() -> None:
        outcomes = extractor.aextract_many(texts(), batch_size=3)
        for number in range(20):
            await anext(outcomes)
            await asyncio.sleep(0.001)
            assert read <= number + 1 + 2 * 3 + 1

    asyncio.run(run())


class Waiting:
    """An engine that waits until it is told to go on, or that a request is given up."""

    def __init__(self) -> None:
        self.begun: list[GenerationRequest] = []
        self.cancelled: list[GenerationRequest] = []
        self.go_on = threading.Event()

    def generate(self, requests: Any, *, batch_size: int | None = None) -> Iterator[Completion]:
        for request in requests:
            self.begun.append(request)
            while not self.go_on.is_set() and not any(request is other for other in self.cancelled):
                time.sleep(0.002)
            yield Completion((), "error", "No record.")

    def cancel(self, request: GenerationRequest) -> None:
        self.cancelled.append(request)


def on(engine: Any) -> Extractor[Order]:
    parts = scripted_extractor(Order, {})._pipeline
    return Extractor(parts.schema, parts.chat, engine, parts.grammar, max_window=parts.max_window)


async def until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


def test_a_cancelled_call_gives_its_request_up() -> None:
    engine = Waiting()

    async def run() -> None:
        task = asyncio.create_task(on(engine).aextract("one"))
        await until(lambda: engine.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: engine.cancelled == engine.begun)

    asyncio.run(run())


@pytest.mark.parametrize("way", ["cancel", "break", "aclose", "timeout"])
def test_a_stream_that_is_left_gives_its_requests_up(way: str) -> None:
    engine = Waiting()
    extractor = on(engine)

    async def consume() -> None:
        outcomes = extractor.aextract_many([f"text {n}" for n in range(100)], batch_size=4)
        if way in ("break", "aclose"):
            first = asyncio.create_task(anext(outcomes))
            await until(lambda: len(engine.begun) == 4)
            engine.cancelled.append(engine.begun[0])  # so that the first one ends
            await first
            if way == "aclose":
                await outcomes.aclose()  # type: ignore[attr-defined]
        else:
            async for _ in outcomes:
                pass

    async def run() -> None:
        task = asyncio.create_task(consume())
        if way == "timeout":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 0.5)
        elif way == "cancel":
            await until(lambda: len(engine.begun) == 4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task
            gc.collect()
        await until(lambda: {id(r) for r in engine.begun} <= {id(r) for r in engine.cancelled})

    asyncio.run(run())
    assert 4 <= len(engine.begun) <= 6


def test_an_engine_that_raises_raises_and_leaves_nothing_behind() -> None:
    class Failing:
        def generate(self, requests: Any, *, batch_size: int | None = None) -> Iterator[Completion]:
            raise OSError("no such device")
            yield

    with pytest.raises(OSError, match="no such device"):
        asyncio.run(collect(on(Failing()).aextract_many(["a", "b", "c"])))


def test_the_loop_goes_on_meanwhile(local: Extractor[Order]) -> None:
    async def run() -> int:
        turns = 0
        task = asyncio.create_task(collect(local.aextract_many(TEXTS * 4)))
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert asyncio.run(run()) > 10  # one or two if the loop waited for all of it


def test_two_loops_share_an_extractor(local: Extractor[Order]) -> None:
    expected = list(local.extract_many(TEXTS))
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        found[number] = asyncio.run(collect(local.aextract_many(TEXTS)))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    assert list(local.extract_many(TEXTS)) == expected
    for thread in threads:
        thread.join()
    assert found == {0: expected, 1: expected}


def test_records_of_low_confidence_are_routed() -> None:
    extractor = scripted_extractor(Order, names(2))
    outcomes = asyncio.run(collect(extractor.aextract_many(list(names(2)), min_confidence=1.0)))
    assert [type(outcome) for outcome in outcomes] == [LowConfidenceError] * 2
    assert [outcome.extraction.output for outcome in outcomes] == [Order(item="i0"), Order(item="i1")]


def test_a_cancelled_call_leaves_the_batch(local: Extractor[Order]) -> None:
    expected = list(local.extract_many(TEXTS))
    engine: Any = local.engine

    async def run() -> Any:
        doomed = [asyncio.create_task(local.aextract(f"{text} {n}")) for n, text in enumerate(TEXTS)]
        others = asyncio.create_task(collect(local.aextract_many(TEXTS)))
        await until(lambda: engine._sequences)
        for task in doomed:
            task.cancel()
        cancelled = await asyncio.gather(*doomed, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError | Order) for outcome in cancelled)
        return await others

    assert asyncio.run(run()) == expected
    for _ in range(400):
        if not engine._sequences:
            break
        time.sleep(0.05)
    assert not engine._sequences
    assert local.extract(TEXTS[0]) == expected[0]
