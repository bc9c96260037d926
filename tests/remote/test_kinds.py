"""One server of each kind: found out, asked and understood as its protocol wants it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from client_probe import Order, probe_of
from fake_kinds import FakeLlamaCpp, FakeOpenAI, FakeSGLang
from fake_vllm import MODEL, QUICK, TEXTS, FakeServer, FakeVLLM
from loopback import Loopback
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, Verbatim
from extractft.errors import EngineError, InvalidAnswerError, NotVerbatimError
from extractft.remote import ServerProbe, connect

Serve = Callable[[FakeServer], Loopback]


class Parcel(BaseModel):
    """A parcel."""

    name: Annotated[str, Verbatim()]
    size: int = 0
    tags: list[str] = []
    note: str | None = None


@pytest.fixture(scope="session")
def parcels(tiny_base: Any) -> Extractor[Parcel]:
    settings = GenerationConfig(max_new_tokens=200)
    return Extractor.from_base(Parcel, base_model=str(tiny_base), generation=settings)


@pytest.fixture(scope="session")
def all_told(tiny_base: Any) -> Extractor[Any]:
    """An engine that reports every allowed token."""
    settings = GenerationConfig(max_new_tokens=60, keep_truncated=True, num_alternatives=1000)
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=settings)


def fake(kind: type[FakeServer], extractor: Extractor[Any], complete: Any) -> Any:
    chat = extractor._pipeline.chat
    return kind(complete, lambda text: list(chat.text_ids(text)), chat.end_token_id)


def by_engine(extractor: Extractor[Any]) -> tuple[Any, ServerProbe]:
    """Completions of the engine here, and the probe."""
    runner = extractor._pipeline
    known: dict[tuple[Any, ...], Any] = {}

    def complete(prompt: list[int], lark: str) -> Any:
        request = known[(*prompt, lark)]
        return next(iter(runner.engine.generate([request])))

    probe = probe_of(extractor)
    for request in (probe.own_request, probe.request, *map(runner.request, TEXTS)):
        known[(*request.prompt_ids, "%llguidance {}\n" + request.grammar.lark)] = request
    return complete, probe


def by_words(record: Callable[[str], Any]) -> Any:
    """The content that a server writes: one of the probe's words if it is asked for one."""

    def write(text: Any, schema: dict[str, Any]) -> tuple[str, str]:
        if "zeta" in schema.get("properties", {}):
            return json.dumps({"zeta": "q7Zx 龙", "alpha": "0f§"}), "stop"
        return record(text), "stop"

    return write


def test_sglang_gives_the_completions_of_the_engine_here(local: Any, loopback: Serve) -> None:
    complete, probe = by_engine(local)
    server = loopback(fake(FakeSGLang, local, complete))
    engine = connect(server.url, probe, retries=QUICK)
    assert (engine.capabilities.kind, engine.capabilities.version) == ("sglang", "0.5.23")
    assert (engine.capabilities.grammar, engine.capabilities.logprobs) == ("llguidance", "constrained")
    requests = [local._pipeline.request(text) for text in TEXTS]
    for here, there in zip(local._pipeline.engine.generate(requests), engine.generate(requests), strict=True):
        assert there.token_ids == here.token_ids
        for ours, theirs in zip(here.steps, there.steps, strict=True):
            assert theirs.constrained_logprob == pytest.approx(ours.constrained_logprob, abs=1e-4)
            assert theirs.forced == ours.forced or not ours.alternatives
            assert dict(theirs.alternatives) == pytest.approx(dict(ours.alternatives), abs=1e-4)


def test_sglang_is_asked_for_an_adapter_by_its_path(local: Any, loopback: Serve) -> None:
    complete, probe = by_engine(local)
    server = fake(FakeSGLang, local, complete)
    server.models = ["base", MODEL]
    card = server.card
    server.card = lambda name: card(name) | ({"parent": "base", "max_model_len": None} if name == MODEL else {})
    engine = connect(f"{loopback(server).url}?model={MODEL}", probe, retries=QUICK)
    assert (engine.capabilities.model, engine.capabilities.max_window) == (f"base:{MODEL}", 4096)
    assert [body["lora_path"] for path, body in server.asked if path == "/generate"] == [MODEL, MODEL]


def test_sglang_with_another_grammar_backend(local: Any, loopback: Serve) -> None:
    complete, probe = by_engine(local)
    server = fake(FakeSGLang, local, complete)
    server.backend = "xgrammar"
    with pytest.raises(EngineError, match=r"backend llguidance at .*, found 'xgrammar'") as caught:
        connect(loopback(server).url, probe, retries=QUICK)
    assert caught.value.__notes__ == ["Start SGLang with --grammar-backend llguidance."]


def test_llama_cpp_is_renormalized_over_what_the_grammar_allows(all_told: Any, loopback: Serve) -> None:
    complete, probe = by_engine(all_told)
    server = fake(FakeLlamaCpp, all_told, complete)
    server.spelling = all_told._pipeline.grammar.spelling
    engine = connect(loopback(server).url, probe, retries=QUICK, num_alternatives=1000)
    assert (engine.capabilities.kind, engine.capabilities.logprobs) == ("llama.cpp", "renormalized")
    requests = [all_told._pipeline.request(text) for text in TEXTS]
    compared = 0
    for here, there in zip(all_told._pipeline.engine.generate(requests), engine.generate(requests), strict=True):
        if here.finish_reason != "stop":
            assert there.finish_reason == "length"
            continue
        assert there.token_ids == here.token_ids
        for ours, theirs in zip(here.steps, there.steps, strict=True):
            assert theirs.forced == ours.forced
            if theirs.unseen == 1.0:  # within a character
                continue
            assert theirs.unseen < 1e-3
            assert theirs.constrained_logprob == pytest.approx(ours.constrained_logprob, abs=1e-3)
            compared += not ours.forced
    assert compared > 20


def test_llama_cpp_without_llguidance(parcels: Extractor[Parcel], loopback: Serve) -> None:
    runner = parcels._pipeline
    server = fake(FakeLlamaCpp, parcels, None)
    server.llguidance = False

    def write(prompt: list[int], schema: dict[str, Any]) -> tuple[str, str]:
        assert "x-guidance" not in schema
        if "zeta" in schema["properties"]:
            return '{"zeta": "Kw3-\\u00df", "alpha":"0f§"}', "eos"
        return '{"name" : "tea",\n "size":3}', "eos"

    server.write = write
    engine = connect(loopback(server).url, probe_of(parcels))
    assert (engine.capabilities.grammar, engine.capabilities.logprobs) == ("json_schema", "none")
    assert "LLAMA_LLGUIDANCE" in engine.capabilities.notes[0]
    (completion,) = engine.generate([runner.request("a box of tea")])
    assert runner.chat.decode(completion.token_ids) == '{"name":"tea","size":3}'
    (completion,) = engine.generate([runner.request("a box of rice")])
    assert isinstance(completion.cause, NotVerbatimError)


def words(parcels: Extractor[Parcel], loopback: Serve, record: Callable[[str], str]) -> Any:
    server = fake(FakeOpenAI, parcels, None)
    server.write = by_words(record)
    return connect(loopback(server).url, probe_of(parcels))


@pytest.mark.parametrize(
    "written",
    [
        '{"name":"tea","size":3,"tags":["a","b"],"note":"n"}',
        ' {\n "size": 3,\t"note": "\\u006e", "tags" : [ "a", "b" ],\r\n "name": "tea" }\n',
    ],
)
def test_any_server_s_json_is_put_into_the_canonical_form(
    parcels: Extractor[Parcel], loopback: Serve, written: str
) -> None:
    engine = words(parcels, loopback, lambda text: written)
    assert (engine.capabilities.kind, engine.capabilities.token_ids) == ("openai", False)
    assert len(engine.capabilities.notes) == 3
    (completion,) = engine.generate([parcels._pipeline.request("a box of tea")])
    assert completion.finish_reason == "stop"
    spelled = parcels._pipeline.chat.decode(completion.token_ids)
    assert spelled == '{"name":"tea","size":3,"tags":["a","b"],"note":"n"}'


@pytest.mark.parametrize(
    ("written", "cause", "message"),
    [
        ('{"name":"coffee"}', NotVerbatimError, "the value of a verbatim field does not occur in the text"),
        ('{"name":"tea","size":"big"}', InvalidAnswerError, "leaves it after 21 bytes"),
        ('{"size":3}', InvalidAnswerError, "leaves it after"),
        ('{"name":"tea","colour":"red"}', InvalidAnswerError, "leaves it after"),
        ('{"name":"tea","name":"tea"}', InvalidAnswerError, "an object that has a key twice"),
        ('{"name":"tea","size":NaN}', InvalidAnswerError, "found NaN"),
        ('{"name":"te', InvalidAnswerError, "in JSON, found something else at character 8 of 11"),
        ("Here is the record: {}", InvalidAnswerError, "in JSON, found something else at character 0"),
        ("", InvalidAnswerError, "in JSON, found something else at character 0 of 0"),
        ("[" * 100_000, InvalidAnswerError, "nested too deeply"),
        ('{"name":"tea","note":"\\ud800"}', InvalidAnswerError, "characters that none do"),
    ],
)
def test_answers_that_are_no_record_are_never_passed_on(
    parcels: Extractor[Parcel], loopback: Serve, written: str, cause: type[Exception], message: str
) -> None:
    engine = words(parcels, loopback, lambda text: written)
    (completion,) = engine.generate([parcels._pipeline.request("a box of tea")])
    assert (completion.finish_reason, completion.steps) == ("error", ())
    assert type(completion.cause) is cause
    assert message in (completion.error or "")
    assert "coffee" not in (completion.error or "")


def test_the_text_that_any_server_gets_is_the_one_that_was_asked_for(
    parcels: Extractor[Parcel], loopback: Serve
) -> None:
    seen = []
    engine = words(parcels, loopback, lambda text: seen.append(text) or '{"name":"tea"}')  # type: ignore[func-returns-value]
    text = "tea <|im_end|> 茶 {}"
    (completion,) = engine.generate([parcels._pipeline.request(text)])
    assert completion.finish_reason == "stop"
    assert seen[-1] == text


@pytest.mark.parametrize("kind", [FakeVLLM, FakeSGLang, FakeLlamaCpp])
def test_a_kind_that_is_named_is_not_asked_for(kind: type[FakeServer], local: Any, loopback: Serve) -> None:
    complete, probe = by_engine(local)
    server = fake(kind, local, complete)
    server.spelling = local._pipeline.grammar.spelling
    server.owner = "a gateway"
    url = loopback(server).url
    named = {FakeVLLM: "vllm", FakeSGLang: "sglang", FakeLlamaCpp: "llamacpp"}[kind]
    assert connect(f"{named}+{url}", probe, retries=QUICK).capabilities.kind.replace(".", "") == named
    with pytest.raises(EngineError, match="found status 404"):  # taken for the kind of all others
        connect(url, probe, retries=QUICK)
