"""Settings that a person writes or a file stores: frozen, validated, complete when saved.

Knows no torch and no room but the errors. The field docstrings are the one source for the docs and for `--help`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from extractft.errors import ConfigError

__all__ = ["GenerationConfig", "LoRAConfig", "PromptConfig", "ProposerName", "TrackingConfig", "TrainingConfig"]

ProposerName = Literal["none", "forced", "prompt_lookup", "learned"]
"""Names of what `speculation/registry.py` makes; a test holds the two together."""
SHORT_NAMES = {"lr": "learning_rate", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"}
"""Common short forms of names that the ecosystem spells out."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Config(BaseModel):
    """Base of all settings: immutable, unknown names refused, keyword arguments only."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _propose_names(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Name the settings that an unknown one may have meant."""
        try:
            return handler(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
            if not any(item["type"] == "extra_forbidden" and len(item["loc"]) == 1 for item in details):
                raise
            lines = [
                InitErrorDetails(type=cls._reword_unknown_name(item), loc=item["loc"], input=item["input"])
                for item in details
            ]
            raise ValidationError.from_exception_data(error.title, lines) from None

    @classmethod
    def _reword_unknown_name(cls, error: ErrorDetails) -> PydanticCustomError:
        unknown = error["type"] == "extra_forbidden" and len(error["loc"]) == 1
        message = cls._unknown_name_message(str(error["loc"][0])) if unknown else error["msg"]
        return PydanticCustomError(error["type"], "{message}", {"message": message})

    @classmethod
    def _unknown_name_message(cls, unknown: str) -> str:
        """A sentence about a name that is none of the settings, with what it may have meant."""
        near = list(dict.fromkeys(cls._similar_names(unknown)))
        near = near or difflib.get_close_matches(unknown, cls.model_fields, cutoff=0.5)
        proposed = f", did you mean {' or '.join(near)}?" if near else f"; it has {', '.join(cls.model_fields)}"
        return f"{cls.__name__} has no setting {unknown}{proposed}"

    @classmethod
    def _similar_names(cls, unknown: str) -> Iterator[str]:
        short = SHORT_NAMES.get(unknown)
        if short in cls.model_fields:
            yield str(short)
        yield from difflib.get_close_matches(unknown, cls.model_fields, n=1, cutoff=0.7)
        for name, field in cls.model_fields.items():
            part = field.annotation
            if isinstance(part, type) and issubclass(part, Config):
                inner = difflib.get_close_matches(unknown, part.model_fields, n=1, cutoff=0.85)
                yield from (f"{name}={part.__name__}({setting}=...)" for setting in inner)

    @classmethod
    def checked(cls, **settings: Any) -> Self:
        """New settings, with extractft's own error where the class itself raises Pydantic's.

        Raises:
            ConfigError: An unknown name or a value out of range.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            found = "; ".join(map(_describe_error, error.errors(include_url=False)))
            raise ConfigError(f"Expected valid settings, found {found}.").hint(
                f"The reference lists every setting of {cls.__name__} with its default."
            ) from error

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed, validated like a new one (`model_copy(update=...)` is not).

        Raises:
            ConfigError: An unknown name or a value out of range.
        """
        values = {name: getattr(self, name) for name in self.model_fields_set}  # what is a default stays one
        return type(self).checked(**{**values, **changes})


def _describe_error(error: ErrorDetails) -> str:
    path, value = ".".join(map(str, error["loc"])), error["input"]
    if error["type"] == "extra_forbidden":  # whose message names it
        return error["msg"]
    shown = f", found {value!r}" if isinstance(value, str | int | float | None) else ""
    return f"{path}: {error['msg']}{shown}" if path else error["msg"]


class LoRAConfig(Config):
    """Low-rank adapter, in PEFT's terms.

    Example:
        ```python
        config = TrainingConfig(lora=LoRAConfig(r=8, lora_dropout=0))
        ```
    """

    r: int = Field(default=16, ge=1)
    """Rank of the update."""
    lora_alpha: float = Field(default=32, gt=0)
    """Scale: the update is multiplied by `lora_alpha / r`."""
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout on the adapter's input while training."""
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all-linear"] = PROJECTIONS
    """Names of the linear layers that get an adapter. Not the (tied) embeddings or the output head."""


class PromptConfig(Config):
    """Settings of the system prompt, which is written from the schema.

    Example:
        ```python
        config = TrainingConfig(prompt=PromptConfig(language="zh", instructions="日期写成 YYYY-MM-DD。"))
        ```
    """

    language: Literal["auto", "zh", "en"] = "auto"
    """Language of the prompt; `auto` takes Chinese when the schema's own words are Chinese."""
    template: str | None = None
    """Source of a Jinja template that replaces the built-in one; `None` for the built-in one."""
    instructions: str | None = None
    """Further instructions, put after the task and before the fields."""
    omit_defaults: bool = True
    """Leave fields out of the record that equal their default, instead of spelling every null."""


class GenerationConfig(Config):
    """Settings of decoding.

    Example:
        ```python
        generation = GenerationConfig(split_long_texts=True, batch_size=8)
        extractor = Extractor.from_base(Complaint, generation=generation)
        ```
    """

    max_new_tokens: int | None = Field(default=None, ge=8)
    """Budget of new tokens for one record; `None` computes it from the schema and the text."""
    min_budget: int = Field(default=0, ge=0)
    """The computed budget is at least this; `fit` sets it to twice the longest answer it was trained on."""
    batch_size: int = Field(default=16, ge=1)
    """Texts that are decoded side by side."""
    max_batch_tokens: int = Field(default=16_384, ge=1)
    """Bounds the memory of what is decoded side by side: texts times the tokens, beyond the system prompt, that the
    longest of them and its record may come to. A text that does not fit waits; one that fits nowhere runs alone."""
    max_text_tokens: int | None = Field(default=None, ge=16)
    """Longest text that is read in one piece; `None` for what fits into the window of the model, until `fit` splits
    rows that are longer than `max_length` and sets it to what fits in there."""
    split_long_texts: bool = False
    """Read longer texts piece by piece and merge the records, instead of raising `InputTooLongError`; `fit` trains on
    longer rows in the same pieces."""
    overlap_tokens: int = Field(default=64, ge=0)
    """Tokens that neighbouring pieces of a long text share at most, so that no value is cut in two."""
    merge_adapter: bool = True
    """Add the adapter to the base weights in memory once it is trained or loaded, which saves two products in every
    adapted layer. What is saved is the adapter. Off, the base weights stay what they are, to the last bit."""
    prepack_weights: bool = True
    """On a processor in float32, keep a copy of the weights in the layout that it multiplies fastest, if that takes no
    more than half of the free memory: products of 6 to 32 rows in half to three quarters of the time."""
    proposer: ProposerName = "learned"
    """Source of guesses, of which several are checked in one pass of the model: `none`, `forced` (what the grammar
    leaves no choice about), `prompt_lookup` (and what the text goes on with) or `learned` (and what followed in earlier
    records). It changes the time that a record takes, not the record."""
    keep_truncated: bool = False
    """Return a record that had to be closed early (marked in `Extraction.truncated`) instead of raising."""
    num_alternatives: int = Field(default=5, ge=0)
    """Number of the most probable allowed tokens that are kept at each decision, for confidence."""


class TrackingConfig(Config):
    """Experiment tracking with SwanLab. Off unless asked; only `online` uses a network.

    Example:
        ```python
        config = TrainingConfig(tracking=TrackingConfig(mode="local", project="complaints"))
        ```
    """

    mode: Literal["off", "local", "offline", "online"] = "off"
    """SwanLab's mode. `local` and `offline` write to `log_dir` only."""
    project: str = "extractft"
    """SwanLab project."""
    experiment_name: str | None = None
    """SwanLab experiment; `None` lets SwanLab name it."""
    log_dir: str | None = None
    """Directory that SwanLab writes to; `None` for `swanlog` in the output directory."""


class TrainingConfig(Config):
    """Fine-tuning settings; the defaults come from the sweep in `docs/lab-notes.md`.

    Example:
        ```python
        config = TrainingConfig(num_train_epochs=6, seed=1)
        extractor = Extractor.fit(Complaint, "complaints.jsonl", config=config)
        longer = config.replace(num_train_epochs=8)
        ```
    """

    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""
    num_train_epochs: float = Field(default=4, gt=0)
    """Passes over the training rows."""
    per_device_train_batch_size: int = Field(default=4, ge=1)
    """Rows in one forward and backward pass on each device."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Passes whose gradients make up one optimizer step."""
    warmup_steps: float = Field(default=0.1, ge=0)
    """Optimizer steps of linear warm-up; below 1, a share of all steps."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    """Learning-rate schedule after warm-up."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay on the adapter."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    max_length: int = Field(default=2048, ge=16)
    """Longest row in tokens, prompt and answer together. Rows are never truncated."""
    overlong: Literal["error", "skip"] = "error"
    """Handling of rows over `max_length`: `error` refuses to train, `skip` leaves them out and counts them."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of the split, the order of rows, the adapter's initialisation and dropout."""
    eval_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the rows held out when no `eval_data` is given; 0 trains on all and keeps the last weights."""
    absence_examples: float = Field(default=0.0, ge=0, le=1)
    """Rows added to train on, as a share of the rows: copies with the place of an optional field cut from the text and
    the field absent, for data in which a field is hardly ever absent."""
    max_eval_rows: int = Field(default=50, ge=1)
    """Held-out rows that are really generated and scored after each epoch."""
    early_stopping_patience: int | None = Field(default=3, ge=1)
    """Evaluations without a better field F1 before training stops; `None` never stops early."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations to save memory: `True` whole layers, `False` nothing, `auto` no more than is needed for a
    step to fit, and for large models on a CPU always what is cheap to compute again."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the base weights; `auto` takes bfloat16 on GPUs that compute in it, else float32."""
    lora: LoRAConfig = LoRAConfig()
    """Adapter settings."""
    prompt: PromptConfig = PromptConfig()
    """Prompt settings."""
    generation: GenerationConfig = GenerationConfig()
    """Decoding settings, for scoring while training and kept by the extractor."""
    tracking: TrackingConfig = TrackingConfig()
    """Experiment tracking with SwanLab."""
    report_to: tuple[str, ...] = ()
    """Other trackers that losses, scores and settings go to, by transformers' own callbacks and names: `tensorboard`,
    `wandb`, `mlflow`, ... A single name will do. Whether one uses a network is up to its own environment variables."""

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        """A single name as a tuple, and transformers' word for none as an empty one."""
        if isinstance(value, str):
            value = (value,)
        return () if value in (("none",), ["none"]) else value

    @classmethod
    def notebook(cls) -> TrainingConfig:
        """The settings of the notebook that most people copy, for comparison.

        LoRA r=8, alpha=32, dropout 0.1 on the seven projections; learning rate 1e-4, constant from the first step
        down linearly, 3 epochs of batches of 4, 4 accumulated.
        """
        return cls(
            learning_rate=1e-4,
            num_train_epochs=3,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
            warmup_steps=0,
            lr_scheduler_type="linear",
            lora=LoRAConfig(r=8, lora_alpha=32, lora_dropout=0.1),
        )
