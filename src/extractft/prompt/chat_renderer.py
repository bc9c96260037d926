"""Chat rendering: the one owner of what the model sees, in training and in inference.

The tokenizer's own chat template is rendered once, with placeholders for the system prompt and the user's text, and cut
at them. A prompt is then always `prefix + text + suffix`, in characters and in token ids: the template cannot rewrite
a text that it never sees, and a text cannot spell the template's control tokens. Knows no schema and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import TemplateError
from tokenizers import Tokenizer

from extractft.errors import PromptError
from extractft.prompt.template_step_limit import TooManyStepsError, limited_steps
from extractft.prompt.text_codec import TextCodec
from extractft.text import normalize_text

__all__ = ["ChatFrame", "ChatRenderer", "ChatTokenizer", "EncodedText"]

SYSTEM, USER, ASSISTANT = "ExtractFTSystemSlot", "ExtractFTUserSlot", "ExtractFTAssistantSlot"
"""Placeholders: letters only, so that no template trims, escapes or splits them."""

FIXED_DATE = """\
{%- macro strftime_now(format) -%}
{{ format | replace("%d", "26") | replace("%m", "07") | replace("%b", "Jul") | replace("%B", "July")
 | replace("%Y", "2024") | replace("%y", "24") | replace("%H", "00") | replace("%M", "00") | replace("%S", "00") }}
{%- endmacro %}{{ "" }}"""
"""Put before templates that ask for today's date: a prompt must not change over night. The day is Llama 3's default."""

Message = dict[str, str]


class ChatTokenizer(Protocol):
    """The part of a `transformers` fast tokenizer that the renderer needs."""

    @property
    def chat_template(self) -> Any:
        """Source of the Jinja chat template, or `None`."""

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer of the `tokenizers` library."""

    @property
    def eos_token_id(self) -> Any:
        """Id of the end-of-sequence token, or `None`."""

    def apply_chat_template(self, conversation: list[Message], **kwargs: Any) -> Any:
        """Render messages; with `tokenize=False`, to a string."""


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """A chat template's own words: `head` system `middle` user `tail` answer `close`.

    Attributes:
        head: Before the system prompt.
        middle: Between the system prompt and the user's text.
        tail: Between the user's text and the answer.
        close: Behind the answer.
    """

    head: str
    middle: str
    tail: str
    close: str


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A user's text as the model sees it.

    Attributes:
        text: The text, composed (NFC).
        ids: Its token ids; no control id among them.
    """

    text: str
    ids: tuple[int, ...]


class ChatRenderer:
    """Turns texts into prompts and answers into completions, by a tokenizer's chat template.

    For every text, `prompt_ids(text) == [*prefix_ids, *text_ids(text), *suffix_ids]`. Texts and answers are composed
    (NFC) first; see `normalize_text` for the way back.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        system_prompt: The system prompt. Templates without a system role get it at the head of the user's turn.
        frame: The template's own words, if they are known: no template is rendered then.

    Attributes:
        frame: The template's own words.
        system_prompt: The system prompt, composed (NFC).
        prefix_ids: Token ids of everything before the user's text, the same for all texts.
        suffix_ids: Token ids between the user's text and the answer. With templates that know thinking it is switched
            off, and an empty think block that the template puts before an answer belongs to the suffix.
        end_token_id: The token that ends the assistant's turn.
        control_ids: Token ids that never come out of a text.

    Raises:
        PromptError: The tokenizer is not a fast one, has no chat template or no end token, or its template drops or
            repeats messages.
    """

    def __init__(self, tokenizer: ChatTokenizer, system_prompt: str, *, frame: ChatFrame | None = None) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise PromptError(
                f"expected a fast tokenizer with `backend_tokenizer`, found {type(tokenizer).__name__}"
            ).hint("Load it with AutoTokenizer.from_pretrained(...); the directory needs a tokenizer.json.")
        self._codec = TextCodec(backend)
        frame = _find_frame(tokenizer) if frame is None else frame
        self.frame = frame
        self.system_prompt = normalize_text(system_prompt).text
        self._prefix = frame.head + self.system_prompt + frame.middle
        self._suffix = frame.tail
        self.prefix_ids: tuple[int, ...] = (
            *self._codec.encode_template(frame.head, head=True),
            *self._codec.encode(self.system_prompt),
            *self._codec.encode_template(frame.middle),
        )
        self.suffix_ids: tuple[int, ...] = tuple(self._codec.encode_template(frame.tail))
        self.end_token_id = self._find_end(tokenizer, frame.close)

    @property
    def control_ids(self) -> frozenset[int]:
        """Token ids that never come out of a text or an answer."""
        return self._codec.control_ids

    def render(self, text: str) -> str:
        """The prompt as the model sees it, in characters."""
        return self._prefix + normalize_text(text).text + self._suffix

    def encode(self, text: str) -> EncodedText:
        """Compose and tokenize the user's text, once for all that is asked about it.

        Raises:
            PromptError: The text holds a lone surrogate.
        """
        composed = normalize_text(text).text
        return EncodedText(composed, tuple(self._codec.encode(composed)))

    def prompt_ids(self, text: str | EncodedText) -> list[int]:
        """Token ids of the prompt, up to where the answer starts."""
        ids = text.ids if isinstance(text, EncodedText) else self.text_ids(text)
        return [*self.prefix_ids, *ids, *self.suffix_ids]

    def text_ids(self, text: str) -> list[int]:
        """Token ids of the user's text alone; no control id among them.

        Raises:
            PromptError: The text holds a lone surrogate.
        """
        return self._codec.encode(normalize_text(text).text)

    def completion_ids(self, json_text: str) -> list[int]:
        """Token ids of an answer, the end token included.

        Raises:
            PromptError: The tokenizer cannot spell the answer, so that a model could never write it.
        """
        text = normalize_text(json_text).text
        ids = self._codec.encode(text)
        if self._codec.decode(ids) != text:
            raise PromptError("expected the tokens of an answer to spell it, found that they spell another text").hint(
                "The tokenizer lacks some of its characters, or rewrites them. Choose a base model with a byte-level "
                "tokenizer, or remove these characters from the data."
            )
        return [*ids, self.end_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of answer ids, the end token not among them: the inverse of `completion_ids` without its last id."""
        return self._codec.decode(ids)

    def _find_end(self, tokenizer: ChatTokenizer, close: str) -> int:
        first = self._codec.encode_template(close)[:1]
        if first and first[0] in self.control_ids:
            return first[0]
        if tokenizer.eos_token_id is None:
            raise PromptError("expected a token that ends the answer, found none").hint(
                "Set the tokenizer's eos_token, or use a chat template that closes the assistant's turn with a "
                "special token."
            )
        return int(tokenizer.eos_token_id)


def _find_frame(tokenizer: ChatTokenizer) -> ChatFrame:
    """Render the template with placeholders and cut it at them.

    The system prompt goes into the system role if the template has one, else before the text in the user's turn.
    """
    if not tokenizer.chat_template:
        raise PromptError("expected a tokenizer with a chat template, found none").hint(
            "Choose an instruct model, put a chat_template.jinja beside its tokenizer.json, or set "
            "tokenizer.chat_template to the source of one."
        )
    with_role = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    without_role = [{"role": "user", "content": f"{SYSTEM}\n\n{USER}"}]
    refused: TemplateError | None = None
    for messages in (with_role, without_role):
        try:
            prompt = _apply(tokenizer, messages, add_generation_prompt=True)
        except TemplateError as error:
            refused = error
            continue
        if SYSTEM in prompt or messages is without_role:
            head, middle, tail = _cut(prompt, (SYSTEM, USER))
            return _with_answer(tokenizer, messages, ChatFrame(head, middle, tail, ""))
    raise PromptError("expected a chat template that takes a user message, found that it raises an error").hint(
        f"The template says: {refused}"
    ) from refused


def _with_answer(tokenizer: ChatTokenizer, messages: list[Message], frame: ChatFrame) -> ChatFrame:
    """Complete a frame by what the template writes around an answer, where it can render one."""
    try:
        chat = _apply(tokenizer, [*messages, {"role": "assistant", "content": ASSISTANT}], add_generation_prompt=False)
        _, _, before, close = _cut(chat, (SYSTEM, USER, ASSISTANT))
    except (TemplateError, PromptError):
        return frame
    tail = frame.tail
    if before.startswith(tail) and before[len(tail) :].strip():
        # The template puts more before an answer than it asks the model to continue from: an empty think block.
        tail = before
    elif tail.startswith(before) and "<think>" in tail[len(before) :] and "</think>" not in tail[len(before) :]:
        # It opens a think block that its own answers do not have: the record would be written inside.
        tail = before
    return ChatFrame(frame.head, frame.middle, tail, close)


def _cut(rendered: str, slots: Sequence[str]) -> list[str]:
    """Cut a rendering at its placeholders, each of which stands there once and in this order."""
    pieces = []
    for slot in slots:
        found = rendered.count(slot)
        before, _, rest = rendered.partition(slot)
        if found != 1 or any(other in before for other in slots):
            role = slot.removeprefix("ExtractFT").removesuffix("Slot").lower()
            where = f"{found} times" if found != 1 else "out of order"
            raise PromptError(f"expected the chat template to write the {role} message once, found it {where}").hint(
                "Set tokenizer.chat_template to a template that writes every message once, in order."
            )
        pieces.append(before)
        rendered = rest
    return [*pieces, rendered]


def _apply(tokenizer: ChatTokenizer, messages: list[Message], *, add_generation_prompt: bool) -> str:
    source = tokenizer.chat_template
    dated = isinstance(source, str) and "strftime_now" in source
    try:
        with limited_steps():
            rendered = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                enable_thinking=False,
                **({"chat_template": FIXED_DATE + source} if dated else {}),
            )
    except TemplateError:
        raise
    except TooManyStepsError as error:
        raise PromptError(f"expected a chat template that renders two messages, found that it runs on ({error})").hint(
            "Give the tokenizer a chat template (chat_template.jinja) without long loops."
        ) from error
    except Exception as error:  # a template can raise whatever the expressions in it can
        raise PromptError("expected a chat template that renders plain messages, found that it fails").hint(
            f"{type(error).__name__}: {error}"
        ) from error
    return str(rendered)
