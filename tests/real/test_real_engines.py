"""The engines themselves, as `make test-engines` installs them: started here, and held against our own engine.

SmolLM2-135M, tuned for a moment, in float32 on all sides: the same records, verbatim fields among them, and confidences
that agree to 0.001. Skipped while the programs are not installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from extractft import Extractor, TrainingConfig, Verbatim
from extractft.export.gguf_tools import CONVERTER_VARIABLE
from extractft.extractor import managed

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1800)]

CACHE = Path(__file__).resolve().parents[2] / ".cache"
VARIABLES = {"vllm": "EXTRACTFT_VLLM", "llamacpp": "EXTRACTFT_LLAMACPP"}
ON_A_PROCESSOR = {
    "vllm": "--enforce-eager --gpu-memory-utilization 0.2",
    "llamacpp": "--cache-type-k f32 --cache-type-v f32 --flash-attn off --threads 1",
}
"""Flags that compute in float32 throughout, on a machine without a GPU."""
TOLERANCE = 1e-3
TEXTS = [
    "龙琳，宁夏回族自治区璐市城东林街g座。小区垃圾堆积成山。",
    "Anna Berg, 12 Mill Road: cars park on the pavement every night.",
    "👩‍💻 Zoë wrote: too loud at Café Ünal 🎉",
    "２０２６年３月，王芳投诉广场噪音。",
    "no name here, litter by the river",
    '"Quotes" and \\ backslashes at C:\\temp, says O\'Neil',
    "tab\tand\nnewline near Bahnhofstraße 5",
    "陈🙂伟：停车场被占",
]


def program(name: str) -> str | None:
    """The program of the environment, or else the one that `make test-engines` installed."""
    installed = CACHE / "peers" / name / ".installed"
    return os.environ.get(VARIABLES[name]) or (installed.read_text(encoding="utf-8") if installed.is_file() else None)


def needs(name: str) -> pytest.MarkDecorator:
    reason = f"{name} is not installed: make test-engines does it, or name it in {VARIABLES[name]}"
    return pytest.mark.skipif(program(name) is None, reason=reason)


class Ticket(BaseModel):
    """A complaint, briefly."""

    name: Annotated[str, Verbatim()] | None = None
    kind: Literal["noise", "litter", "parking", "其他"]
    place: Annotated[str, Verbatim()]
    urgent: bool = False


class Shape(BaseModel):
    """Another schema on the same base model."""

    size: Literal["small", "large"]
    words: Annotated[str, Verbatim()] | None = None


ROWS: dict[type[BaseModel], list[tuple[str, dict[str, Any]]]] = {
    Ticket: [
        ("Anna Berg, 12 Mill Road: noise", {"name": "Anna Berg", "kind": "noise", "place": "12 Mill Road"}),
        ("王芳：南京路停车", {"name": "王芳", "kind": "parking", "place": "南京路", "urgent": True}),
    ],
    Shape: [("a large 茶 bag", {"size": "large", "words": "茶 bag"}), ("salt", {"size": "small"})],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[type[BaseModel], Path]:
    """Two extractors on one base model."""
    config = TrainingConfig(
        num_train_epochs=4,
        per_device_train_batch_size=2,
        learning_rate=2e-3,
        warmup_steps=0,
        eval_fraction=0,
        device="cpu",
    )
    folder = tmp_path_factory.mktemp("engines")
    for schema, rows in ROWS.items():
        fitted: Extractor[Any] = Extractor.fit(schema, rows, base_model="smollm2-135m", config=config)
        fitted.save_pretrained(folder / schema.__name__)
    return {schema: folder / schema.__name__ for schema in ROWS}


@pytest.fixture(scope="module")
def ours(saved: dict[type[BaseModel], Path]) -> dict[type[BaseModel], list[Any]]:
    """What our own engine gives."""
    found = {}
    for schema, path in saved.items():
        here: Any = Extractor.from_pretrained(path, schema=schema, device="cpu", dtype="float32")
        found[schema] = list(here.inspect_many(TEXTS))
    return found


@pytest.fixture(scope="module", autouse=True)
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of exports that goes with the tests: they take half a gigabyte each."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(managed, "cache_dir", lambda: folder)
        yield


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What programs are started with, as far as the caller's environment does not say it."""
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", CONVERTER_VARIABLE: str(CACHE / "gguf-tools" / "convert_hf_to_gguf.py")}
    for name, variable in VARIABLES.items():
        settings |= {variable: program(name) or "", f"{variable}_ARGS": ON_A_PROCESSOR[name]}
    for variable, value in settings.items():
        if value and not os.environ.get(variable):
            monkeypatch.setenv(variable, value)


@contextmanager
def served(path: Path, schema: type[BaseModel], engine: str) -> Iterator[Any]:
    """The extractor on an engine that is started for it."""
    there: Any = Extractor.from_pretrained(path, schema=schema, engine=engine, dtype="float32")
    try:
        yield there
    finally:
        there.engine.close()


def hold_together(ours: list[Any], theirs: list[Any]) -> tuple[int, int]:
    """Require equal records, log-probabilities and confidences; the numbers of the last two that could be compared."""
    decisions = confidences = 0
    assert [one.output for one in theirs] == [one.output for one in ours]
    for one, other in zip(ours, theirs, strict=True):
        assert other.completion.token_ids == one.completion.token_ids
        for mine, its in zip(one.completion.steps, other.completion.steps, strict=True):
            if its.unseen <= TOLERANCE and not mine.forced:
                decisions += 1
                assert its.constrained_logprob == pytest.approx(mine.constrained_logprob, abs=TOLERANCE)
        if all(step.unseen <= TOLERANCE for step in other.completion.steps):
            confidences += 1
            assert other.confidence.record == pytest.approx(one.confidence.record, abs=TOLERANCE)
            assert dict(other.confidence.fields) == pytest.approx(dict(one.confidence.fields), abs=TOLERANCE)
    return decisions, confidences


@needs("llamacpp")
def test_llama_cpp_gives_our_records(saved: Any, ours: Any) -> None:
    with served(saved[Ticket], Ticket, "llama.cpp") as there:
        assert there.engine.capabilities.grammar == "llguidance"
        decisions, confidences = hold_together(ours[Ticket], list(there.inspect_many(TEXTS)))
        print(f"llama.cpp: {decisions} decisions and {confidences} of {len(TEXTS)} confidences seen whole")
        assert decisions >= len(TEXTS)


@needs("vllm")
def test_vllm_gives_our_records(saved: Any, ours: Any) -> None:
    with served(saved[Ticket], Ticket, "vllm") as there:
        assert hold_together(ours[Ticket], list(there.inspect_many(TEXTS)))[1] == len(TEXTS)


@needs("vllm")
def test_vllm_serves_adapters_of_two_schemas_beside_each_other(saved: Any, ours: Any) -> None:
    with served(saved[Ticket], Ticket, "vllm-lora") as tickets, served(saved[Shape], Shape, "vllm-lora") as shapes:
        assert tickets.engine.capabilities.model != shapes.engine.capabilities.model
        assert tickets.engine._server._shared is shapes.engine._server._shared
        assert hold_together(ours[Ticket], list(tickets.inspect_many(TEXTS)))[1] == len(TEXTS)
        assert hold_together(ours[Shape], list(shapes.inspect_many(TEXTS)))[1] == len(TEXTS)
