"""Doubles and checks for tests and docs: no download, no real model.

Sits above the extractor, next to the command line: nothing in the package imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

from extractft.completion import Completion, EngineCapabilities, GenerationRequest, TokenStep
from extractft.config import GenerationConfig, PromptConfig
from extractft.constraints import GrammarCompiler, accepts
from extractft.errors import ExtractFTError
from extractft.extractor import Extractor
from extractft.prompt import ChatRenderer, normalize_text, render_system_prompt
from extractft.schema import Schema

__all__ = [
    "ScriptedEngine",
    "assert_roundtrip",
    "byte_tokenizer",
    "grammar_accepts",
    "scripted_extractor",
    "tiny_model",
]

T = TypeVar("T")
Script = Mapping[str, Any] | Callable[[str], Any]

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' %}<think>

</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}
{%- endif -%}
"""
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token a byte, Qwen3's control tokens and a chat template of the same shape.

    `<think>` and `</think>` are added tokens but not special ones, as with Qwen3.

    Example:
        ```python
        assert byte_tokenizer().decode(byte_tokenizer().encode("茶")) == "茶"
        ```
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(t, special="think" not in t, normalized=False) for t in CONTROL_TOKENS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def tiny_model(
    *, vocab_size: int = 264, hidden_size: int = 64, num_hidden_layers: int = 1, seed: int = 0
) -> PreTrainedModel:
    """A randomly initialised Qwen3 of a few thousand weights, in float32 on the CPU.

    The vocabulary is a few ids wider than `byte_tokenizer()`'s, as Qwen3's is.

    Example:
        ```python
        tiny_model().save_pretrained("tiny")
        byte_tokenizer().save_pretrained("tiny")  # a base model for `Extractor.fit(..., base_model="tiny")`
        ```
    """
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=4096,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=258,
        pad_token_id=256,
    )
    model = Qwen3ForCausalLM(config)
    model.train(False)
    return model


class ScriptedEngine:
    """An engine that answers from a script, under the same grammar that a model would be held to.

    Args:
        script: Text to answer; a mapping or a function. An answer is JSON text.
        chat: Renders the prompts, so that the text can be found in them again.
        logprob: Log-probability that every decided token gets.

    Raises:
        ExtractFTError: On `generate`, when the script has no answer or the grammar refuses it.

    Attributes:
        capabilities: All that the protocol names.

    Example:
        ```python
        chat = ChatRenderer(byte_tokenizer(), "Extract the complaint.")
        engine = ScriptedEngine({"tea": '{"name":"Lin"}'}, chat)
        ```
    """

    capabilities = EngineCapabilities("scripted")

    def __init__(self, script: Script, chat: ChatRenderer, *, logprob: float = -0.01) -> None:
        self._script = script if callable(script) else {normalize_text(text).text: script[text] for text in script}
        self._chat = chat
        self._logprob = logprob

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        """Yield the scripted completion of each request, in order."""
        for request in requests:
            yield self._complete(request)

    def _complete(self, request: GenerationRequest) -> Completion:
        ids = self._chat.completion_ids(self._answer(self._chat.decode(request.draft_ids)))
        if not accepts(request.grammar, ids):
            raise ExtractFTError("The scripted answer is not what the schema's grammar accepts.").hint(
                "Write it as Schema.canonical_json does: field order, no spaces, defaults left out."
            )
        budget = request.max_new_tokens
        steps = tuple(TokenStep(i, self._logprob, self._logprob) for i in ids[:-1][:budget])
        return Completion(steps, "stop" if len(ids) <= budget else "length")

    def _answer(self, text: str) -> str:
        if callable(self._script):
            return str(self._script(text))
        if text not in self._script:
            raise ExtractFTError(f"The script has no answer for a text of {len(text)} characters.").hint(
                "Add it to the script's keys; texts are compared after NFC normalisation."
            )
        return str(self._script[text])


@overload
def scripted_extractor(schema: type[T] | Schema[T], answers: Mapping[str, T], **settings: Any) -> Extractor[T]: ...


@overload
def scripted_extractor(schema: Any, answers: Mapping[str, Any], **settings: Any) -> Extractor[Any]: ...


def scripted_extractor(schema: Any, answers: Mapping[str, Any], **settings: Any) -> Extractor[Any]:
    """An extractor without a model: it answers the texts in `answers` with their records.

    Args:
        schema: The schema of the records.
        answers: Text to record.
        **settings: Settings of `GenerationConfig`.

    Example:
        ```python
        extractor = scripted_extractor(Complaint, {"Lin wrote.": Complaint(name="Lin")})
        assert extractor.extract("Lin wrote.").name == "Lin"
        ```
    """
    spec: Schema[Any] = Schema.of(schema)
    tokenizer = byte_tokenizer()
    chat = ChatRenderer(tokenizer, render_system_prompt(spec, PromptConfig()))
    script = {text: spec.canonical_json(record) for text, record in answers.items()}
    grammar = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=chat.end_token_id)
    generation = GenerationConfig.checked(**settings)
    return Extractor(spec, chat, ScriptedEngine(script, chat), grammar, generation=generation, max_window=100_000)


def grammar_accepts(schema: Any, json_text: str, tokenizer: Any, *, text: str | None = None) -> bool:
    """True if the schema's grammar accepts `json_text` to the end, token by token.

    Args:
        schema: A Pydantic model, another type that `Schema.of` takes, or a `Schema`.
        json_text: The record as JSON, written as the canonical form writes it.
        tokenizer: A fast tokenizer with a chat template, such as `byte_tokenizer()`.
        text: The text that verbatim fields are copied from, composed (NFC) as the extractor does; without it they
            are as free as others.

    Example:
        ```python
        assert grammar_accepts(Complaint, '{"name":"Lin"}', byte_tokenizer())
        assert not grammar_accepts(Complaint, '{"name":7}', byte_tokenizer())
        ```
    """
    spec: Schema[Any] = Schema.of(schema)
    chat = ChatRenderer(tokenizer, "")
    compiler = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=chat.end_token_id)
    source = None if text is None else normalize_text(text).text
    return accepts(compiler.compile(spec, text=source), chat.completion_ids(json_text))


def assert_roundtrip(instance: Any, tokenizer: Any, *, schema: Any = None) -> None:
    """Assert that the canonical JSON of `instance` is accepted by the grammar and parses back to an equal instance.

    Args:
        instance: An instance of a model; for other types give `schema` as well.
        tokenizer: A fast tokenizer with a chat template, such as `byte_tokenizer()`.
        schema: The type, if it is not the class of `instance`.

    Raises:
        AssertionError: The grammar refuses the text, or it parses to something else.

    Example:
        ```python
        assert_roundtrip(Complaint(name="Lin"), byte_tokenizer())
        ```
    """
    spec: Schema[Any] = Schema.of(type(instance) if schema is None else schema)
    text = spec.canonical_json(instance)
    assert grammar_accepts(spec, text, tokenizer), f"the grammar refuses the canonical JSON {text!r}"
    assert spec.parse(text) == instance, f"{text!r} does not parse back to an equal instance"
