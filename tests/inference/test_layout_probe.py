"""Trying out whether rows can be packed: rounding is not mistaken for a wrong layout, nor a wrong layout for rounding."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from test_engine import build, make_engine, make_requests
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, set_seed

from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.errors import ConfigError, ExtractFTWarning, PerformanceWarning
from extractft.inference import ReferenceEngine
from extractft.inference import model_runner as packed
from extractft.inference.kv_cache import KVCache
from extractft.inference.model_runner import ModelRunner, Segment, _Group, _Pass
from extractft.inference.model_state import evaluating
from extractft.modeling import load_model, ordinary_ids, probe_tolerance, probing, resolve_base_model
from extractft.modeling.model_probe import WINDOW
from extractft.schema import Schema

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SIZES: dict[str, Any] = {
    "vocab_size": 264,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "initializer_range": 0.3,
    "pad_token_id": 256,
}


@functools.cache
def smollm2(dtype: torch.dtype) -> Any:
    name = str(dtype).removeprefix("torch.")
    return load_model(resolve_base_model("smollm2-135m"), device="cpu", dtype=name)


def model_of(name: str, dtype: torch.dtype) -> Any:
    if name == "smollm2":
        return smollm2(dtype)
    set_seed(5)
    if name == "gemma3-deep":  # four local layers of window 512 to one global: the first global one comes late
        kinds = ["sliding_attention"] * 4 + ["full_attention"]
        config = Gemma3TextConfig(**SIZES, num_hidden_layers=10, sliding_window=512, layer_types=kinds * 2)
        return Gemma3ForCausalLM(config).to(dtype).eval()
    if name == "gemma2":
        config = Gemma2Config(**SIZES, num_hidden_layers=2, query_pre_attn_scalar=16, attn_implementation="eager")
        return Gemma2ForCausalLM(config).to(dtype).eval()
    return build(name).to(dtype)


def reason(model: Any) -> str | None:
    with evaluating(model):
        return ModelRunner(model).unsupported()


RIGHT = ["llama", "qwen3", "qwen3-windows", "gemma3", "gemma3-deep", "gemma2", "mistral", "gpt2", "smollm2"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_layout_is_right_in_every_number_type(name: str, dtype: torch.dtype) -> None:
    assert reason(model_of(name, dtype)) is None


# ------------------------------------------------------------------------------------------------- wrong layouts


def _inside(function: Callable[..., Any], patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Replace a function by one that is handed the original first."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: function(original, *args, **kwargs))


def positions_off_by_one(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Rows that go on count from one too many."""

    def made(original: Any, step: _Pass, segments: Any, *args: Any) -> None:
        original(step, segments, *args)
        late = torch.tensor([segment.start > 3 for segment in segments for _ in segment.token_ids])
        step.positions[0, : len(late)] += late

    _inside(made, patch, _Pass, "__init__")


def positions_scaled(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Rotary angles are larger than the model's."""

    def made(original: Any, step: _Pass, *args: Any) -> None:
        original(step, *args)
        step.positions = step.positions * 2

    _inside(made, patch, _Pass, "__init__")


def scores_scaled(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Scores are one in a thousand too large."""

    def attended(original: Any, step: _Pass, layer: int, query: Tensor, *args: Any) -> Tensor:
        found: Tensor = original(step, layer, query * 1.001, *args)
        return found

    _inside(attended, patch, _Pass, "attend")


def neighbours_keys(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Each row of a group sees the keys and values of the next one."""

    def read(original: Any, *args: Any) -> Any:
        return tuple(part.roll(1, 0) for part in original(*args))

    _inside(read, patch, KVCache, "read")


def neighbours_tokens(patch: pytest.MonkeyPatch, model: Any) -> None:
    """A little of the token before is mixed in, whichever row it is of."""
    layer = next(module for module in model.modules() if isinstance(module, nn.ModuleList))[0]
    mixed = next(module for name, module in layer.named_modules() if name == "mlp")

    def forward(original: Any, inputs: Tensor) -> Tensor:
        found: Tensor = original(inputs + 0.01 * inputs.roll(1, dims=1))
        return found

    _inside(forward, patch, mixed, "forward")


def everything_seen(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Tokens see those behind them."""
    _inside(lambda original, *args: torch.zeros_like(original(*args)), patch, _Group, "hidden")


def siblings_seen(patch: pytest.MonkeyPatch, _: Any) -> None:
    """Branches of a tree see each other."""
    _inside(lambda original, segment: torch.ones_like(original(segment)).tril(), patch, Segment, "seen")


def window_ignored(patch: pytest.MonkeyPatch, _: Any) -> None:
    _inside(lambda original, *args: original(*args[:5], None, args[6]), patch, _Pass, "attend")


def window_off_by_one(patch: pytest.MonkeyPatch, _: Any) -> None:
    def attended(original: Any, *args: Any) -> Any:
        return original(*args[:5], None if args[5] is None else args[5] + 1, args[6])

    _inside(attended, patch, _Pass, "attend")


def softcap_missing(patch: pytest.MonkeyPatch, _: Any) -> None:
    _inside(lambda original, *args: original(*args[:6], None), patch, _Pass, "attend")


WINDOWED = ["qwen3-windows", "gemma3", "gemma3-deep", "mistral"]
WRONG: list[tuple[Any, list[str]]] = [
    (positions_off_by_one, ["llama", "qwen3", "gemma3", "smollm2"]),
    (positions_scaled, ["llama", "qwen3", "gemma3", "smollm2"]),
    (scores_scaled, ["llama", "qwen3", "gemma3", "smollm2"]),
    (neighbours_keys, ["llama", "qwen3", "gemma3", "smollm2"]),
    (neighbours_tokens, ["llama", "qwen3", "gemma3", "smollm2"]),
    (everything_seen, ["llama", "qwen3", "gemma3", "smollm2"]),
    (siblings_seen, ["llama", "qwen3", "gemma3", "smollm2"]),
    (window_ignored, WINDOWED),
    (window_off_by_one, WINDOWED),
    (softcap_missing, ["gemma2"]),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("name", "spoil"), [pytest.param(n, spoil, id=f"{n}-{spoil.__name__}") for spoil, names in WRONG for n in names]
)
def test_a_wrong_layout_is_refused_in_every_number_type(
    name: str, spoil: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name, dtype)
    with monkeypatch.context() as patch:
        spoil(patch, model)
        found = reason(model)
    assert found is not None
    assert found.startswith("logits differ by up to "), found


def test_layers_that_hand_on_too_little_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(*_: Any, **__: Any) -> Any:
        raise KeyError("packed_pass")

    monkeypatch.setattr(packed, "_attend", attend)
    found = reason(model_of("llama", torch.float32))
    assert found is not None
    assert found.startswith("KeyError")


# ------------------------------------------------------------------------------------------------- what the probe does


@pytest.mark.parametrize("name", ["gemma3-deep", "qwen3-windows", "smollm2"])
def test_a_model_is_afterwards_as_it_was(name: str) -> None:
    model = model_of(name, torch.bfloat16)
    ids = torch.tensor([ordinary_ids(model, 12)])
    modules, config = [id(module) for module in model.modules()], model.config.to_dict()
    windows = [vars(module).get("sliding_window") for module in model.modules()]
    with evaluating(model):
        logits = model(input_ids=ids).logits
        assert reason(model) is None
        assert torch.equal(model(input_ids=ids).logits, logits)
        with pytest.raises(KeyboardInterrupt), probing(model):
            raise KeyboardInterrupt
    assert [id(module) for module in model.modules()] == modules
    assert [vars(module).get("sliding_window") for module in model.modules()] == windows
    assert model.config.to_dict() == config
    assert all(parameter.dtype == torch.bfloat16 for parameter in model.parameters())


def test_layers_of_every_sort_are_tried_and_no_more() -> None:
    model = model_of("gemma3-deep", torch.bfloat16)
    with probing(model):
        layers = model.model.layers
        assert [layer.self_attn.layer_type for layer in layers] == ["sliding_attention"] * 4 + ["full_attention"]
        assert {layer.self_attn.sliding_window for layer in layers} == {WINDOW, None}
    assert len(model.model.layers) == 10
    with probing(smollm2(torch.float32)):
        assert len(smollm2(torch.float32).model.layers) == 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_computed_has_no_rounding(dtype: torch.dtype) -> None:
    """The same numbers as from a copy of the weights in float64."""
    model = model_of("qwen3", dtype)
    ids = torch.tensor([ordinary_ids(model, 12)])
    with evaluating(model), probing(model):
        found = model(input_ids=ids).logits
    exact = model_of("qwen3", dtype).double()
    with evaluating(exact):
        expected = exact(input_ids=ids).logits  # but for its norms and angles, which transformers computes in float32
    assert found.dtype == expected.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert probe_tolerance(model) == 1e-6


def test_layers_that_are_quantised_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels for quantised weights take no float64; of few layers, their own rounding is small."""
    model = smollm2(torch.bfloat16)
    monkeypatch.setattr(model.config, "quantization_config", {"quant_method": "tried"}, raising=False)
    with probing(model), evaluating(model):
        assert model(input_ids=torch.tensor([ordinary_ids(model, 3)])).logits.dtype == torch.bfloat16
    assert reason(model) is None
    with monkeypatch.context() as patch:
        positions_off_by_one(patch, model)
        assert reason(model) is not None


def test_ids_are_ordinary() -> None:
    for model in (model_of("llama", torch.float32), smollm2(torch.float32)):
        size = model.config.vocab_size
        ids = [index for seed in range(4) for index in ordinary_ids(model, 9, seed=seed)]
        assert all(size // 4 <= index < size - size // 5 for index in ids)
        assert len(set(ids)) > 20


# ------------------------------------------------------------------------------------------------- half precision


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    calls: list[int] = []
    hook = model.register_forward_pre_hook(lambda *_: calls.append(1))
    yield calls
    hook.remove()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_packed_rows_in_half_precision_round_as_padded_ones_do(tokenizer: Any, name: str, dtype: torch.dtype) -> None:
    """Both ways make errors against float32; those of packed rows are no larger, and decoding takes fewer passes."""
    half, full = model_of(name, dtype), model_of(name, dtype).float()
    compiler = GrammarCompiler(tokenizer, vocab_size=264, end_token_id=tokenizer.eos_token_id)
    requests = make_requests(tokenizer, compiler.compile(Schema.of(list[bool]), max_string_length=20), 8)
    engine = make_engine(half, tokenizer, batch_size=4)
    plain = ReferenceEngine(
        half,
        end_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        config=GenerationConfig(batch_size=4),
    )
    assert engine.packed
    with counted(half) as passes:
        ours = _errors(full, requests, list(engine.generate(requests)))
    with counted(half) as slow_passes:
        theirs = _errors(full, requests, list(plain.generate(requests)))
    assert len(passes) < len(slow_passes)
    assert ours < 1.5 * theirs + 1e-3


def _errors(full: Any, requests: Any, completions: Any) -> float:
    """Root of the mean squared error of log-probabilities, against those of float32 for the same tokens."""
    squares: list[float] = []
    for request, completion in zip(requests, completions, strict=True):
        ids = [*request.prompt_ids, *(step.token_id for step in completion.steps)]
        with torch.no_grad():
            expected = torch.log_softmax(full(torch.tensor([ids])).logits[0].float(), -1)
        first = len(request.prompt_ids) - 1
        asked = [(place, step) for place, step in enumerate(completion.steps, first) if step.logprob]
        squares += [(step.logprob - float(expected[place, step.token_id])) ** 2 for place, step in asked]
    return float(torch.tensor(squares).mean().sqrt())


# ------------------------------------------------------------------------------------------------- it is said


def test_the_slow_way_is_said_once_with_its_reason(tokenizer: Any) -> None:
    engine = make_engine(build("lfm2"), tokenizer)
    with pytest.warns(PerformanceWarning, match=r"Lfm2ForCausalLM cannot be packed: .*conv.*To avoid it"):
        assert not engine.packed
    assert issubclass(PerformanceWarning, ExtractFTWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert engine.fallback_reason == "it has layers of another kind: conv"
        assert make_engine(build("llama"), tokenizer).fallback_reason is None


def test_a_warning_that_is_an_error_spoils_nothing(tokenizer: Any) -> None:
    engine = make_engine(build("lfm2"), tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PerformanceWarning):
            assert not engine.packed
        assert not engine.packed


def test_eight_bits_say_why_they_cannot_be(tokenizer: Any) -> None:
    engine = make_engine(build("lfm2"), tokenizer, eight_bit=True)
    with pytest.warns(PerformanceWarning), pytest.raises(ConfigError, match="conv"):
        list(engine.generate([]))
