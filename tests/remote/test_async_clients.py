"""Extractors on servers, on an event loop: the same records, and requests that end with their callers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from fake_vllm import TEXTS, FakeVLLM
from loopback_vllm import fake_for, served
from pydantic import BaseModel, Field

from extractft import Extractor
from extractft.errors import ServerError


class Ticket(BaseModel):
    """A ticket, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


@pytest.fixture(scope="module")
def here(tiny_base: Path) -> Extractor[Ticket]:
    return Extractor.from_base(Ticket, base_model=str(tiny_base))


@pytest.fixture(scope="module")
def saved(here: Extractor[Ticket], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "ticket"
    here.save_pretrained(directory)
    return directory


class Transport(httpx.AsyncBaseTransport):
    """A server that can be made to wait, and that notes who gave up."""

    def __init__(self, fake: FakeVLLM) -> None:
        self.fake = fake
        self.waiting = False
        self.begun = self.given_up = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.waiting and request.url.path == "/v1/completions":
            self.begun += 1
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return await self.fake.handle_async_request(request)


@pytest.fixture
def transport(here: Extractor[Ticket]) -> Transport:
    return Transport(fake_for(here))


@pytest.fixture
def client(saved: Path, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> Extractor[Ticket]:
    from extractft.extractor import client as module

    real = module.connect
    monkeypatch.setattr(module, "connect", lambda *given, **more: real(*given, **more, transport=transport))
    return Extractor.from_pretrained(saved, schema=Ticket, engine="http://127.0.0.1:1")


async def collect(outcomes: Any) -> list[Any]:
    return [outcome async for outcome in outcomes]


async def until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


@pytest.fixture
def address(here: Extractor[Ticket]) -> Iterator[str]:
    with served(fake_for(here)) as address:
        yield address


def test_the_same_records_as_here(here: Extractor[Ticket], saved: Path, address: str) -> None:
    remote = Extractor.from_pretrained(saved, schema=Ticket, engine=address)
    expected = [here.extract(text) for text in TEXTS]

    async def run() -> None:
        assert await collect(remote.aextract_many(TEXTS)) == expected
        assert await remote.aextract(TEXTS[0]) == expected[0]

    asyncio.run(run())


@pytest.mark.parametrize("call", ["aextract", "aextract_many"])
def test_a_cancelled_caller_cancels_its_requests(client: Extractor[Ticket], transport: Transport, call: str) -> None:
    transport.waiting = True
    many = 6 if call == "aextract_many" else 1

    async def run() -> None:
        work = collect(client.aextract_many(["one"] * 6)) if many > 1 else client.aextract("one")
        task = asyncio.create_task(work)
        await until(lambda: transport.begun == many)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: transport.given_up == many)

    asyncio.run(run())


def test_leaving_a_stream_cancels_what_is_under_way(client: Extractor[Ticket], transport: Transport) -> None:
    async def run() -> None:
        outcomes = client.aextract_many(later(transport))
        async for outcome in outcomes:
            assert isinstance(outcome, Ticket)
            await until(lambda: transport.begun == 3)
            break
        await outcomes.aclose()  # type: ignore[attr-defined]
        await until(lambda: transport.given_up == 3)

    asyncio.run(run())


async def later(transport: Transport) -> Any:
    """One text that is answered, then three that are not."""
    before = len(transport.fake.asked)
    yield TEXTS[0]
    await until(lambda: len(transport.fake.asked) > before)
    transport.waiting = True
    for text in TEXTS[1:4]:
        yield text


def test_a_text_that_the_server_refuses_spoils_only_itself(
    here: Extractor[Ticket], client: Extractor[Ticket], transport: Transport
) -> None:
    doomed = here._pipeline.request(TEXTS[1]).prompt_ids

    def before(request: httpx.Request) -> httpx.Response | None:
        body = transport.fake.asked[-1][1]
        if body and tuple(body.get("prompt", ())) == doomed:
            return httpx.Response(400, json={"error": {"message": "no"}})
        return None

    transport.fake.before = before
    expected = [here.extract(text) for text in TEXTS[:3]]
    for outcomes in (
        list(client.extract_many(TEXTS[:3])),
        asyncio.run(collect(client.aextract_many(TEXTS[:3]))),
    ):
        assert [outcomes[0], outcomes[2]] == [expected[0], expected[2]]
        error = outcomes[1]
        assert isinstance(error, ServerError)
        assert (error.status, error.retryable, error.text) == (400, False, TEXTS[1])
        assert TEXTS[1] not in str(error)
