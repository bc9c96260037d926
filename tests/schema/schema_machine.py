# ruff: noqa: UP007, UP045  (these types are put together at run time)
"""Random types, made of everything that a schema may hold: leaves, containers, unions, classes, recursion."""

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import keyword
import pathlib
import re
import uuid
import warnings
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, Required, Union

import annotated_types as at
import pydantic
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model
from typing_extensions import TypedDict


class Hue(enum.Enum):
    RED = "red"
    BLUE = 2


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Grade(enum.StrEnum):
    A = "a"
    B = "b"


class Code:
    """A class of one's own that JSON spells as a string."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text or text.startswith("x"):
            raise ValueError("no code")
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return pydantic.PlainValidator(lambda v: v if isinstance(v, cls) else cls(v)).__get_pydantic_core_schema__(
            source, handler
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
        return {"type": "string", "minLength": 1, "pattern": "^(?!x)"}


LEAVES: list[Any] = [
    str, int, float, bool, Decimal, bytes, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID,
    pydantic.HttpUrl, pydantic.AnyUrl, pydantic.PostgresDsn, pydantic.FileUrl, pathlib.Path, pathlib.PurePosixPath,
    pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret[int], pydantic.Secret[dt.date], re.Pattern,
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Interface,
    pydantic.IPvAnyAddress, pydantic.IPvAnyNetwork, pydantic.Base64Str, pydantic.Base64Bytes, pydantic.ByteSize,
    pydantic.UUID4, pydantic.UUID7, pydantic.PastDate, pydantic.FutureDatetime, pydantic.AwareDatetime,
    pydantic.NaiveDatetime, Hue, Rank, Grade, Code,
    Literal["a"], Literal["a", "b", None], Literal[1, True, "1"], Literal[Grade.A, "x"],
    Annotated[str, Field(min_length=2, max_length=5)], Annotated[str, Field(pattern="^[a-z]+$")],
    Annotated[str, Field(pattern=re.compile(r"^(?=a)\w+$", re.ASCII))],
    Annotated[int, Field(ge=0, lt=10)], Annotated[int, Field(multiple_of=5)],
    Annotated[float, Field(gt=0, le=1.25)], Annotated[float, Field(multiple_of=2)],
    Annotated[float, Field(ge=float("-inf"))],
    Annotated[Decimal, Field(max_digits=6, decimal_places=2, ge=0)], Annotated[Decimal, Field(le=Decimal("9.99"))],
    Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], Annotated[dt.timedelta, Field(ge=dt.timedelta(0))],
    Annotated[bytes, Field(min_length=1, max_length=4)], Annotated[pydantic.SecretStr, Field(min_length=3)],
    Annotated[pydantic.HttpUrl, pydantic.UrlConstraints(max_length=50)],
    Annotated[str, at.Predicate(str.islower)],
    Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)],
]  # fmt: skip
"""Single values, those that JSON has no type for included."""

KEYS: list[Any] = [str, int, bool, Grade, Literal["a", "b"], dt.date, Annotated[str, Field(pattern="^[a-z]$")]]

NAMES = ["a", "name", "class", "json", "copy", "model_dump", "model_config_", "_private", "龙", "two words", "from"]


def classes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Models, TypedDicts, dataclasses and named tuples of a few fields."""
    fields = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(_model, fields, st.randoms(), st.sampled_from(["Rec", "Same", "Box[int]"])),
        st.builds(_typed_dict, fields, st.randoms()),
        st.builds(_dataclass, fields, st.randoms()),
        st.builds(_named_tuple, fields),
    )


def _model(fields: dict[str, Any], rng: Any, name: str) -> Any:
    made: dict[str, Any] = {}
    for number, (key, type_) in enumerate(fields.items()):
        made_anew = Field(default_factory=lambda: 1) if type_ is int else Field(default_factory=lambda: None)
        field = rng.choice([Field(), Field(None), Field("wrong"), made_anew if rng.random() < 0.3 else Field()])
        alias = {} if key.isidentifier() and not key.startswith(("_", "model_")) else {"validation_alias": key}
        info = pydantic.fields.FieldInfo.merge_field_infos(field, **alias) if alias else field
        made[f"f{number}" if alias else key] = (Optional[type_] if rng.random() < 0.3 else type_, info)
    config = ConfigDict(extra=rng.choice(["ignore", "allow", "forbid"]), protected_namespaces=())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a field may be called `json`
        return create_model(name, __config__=config, **made)


def _typed_dict(fields: dict[str, Any], rng: Any) -> Any:
    marks = {key: rng.choice([Required, NotRequired]) for key in fields}
    nulls = {key: rng.random() < 0.5 for key in fields}
    wrap = {key: marks[key][Optional[type_] if nulls[key] else type_] for key, type_ in fields.items()}
    return TypedDict("Typed", wrap)  # type: ignore[operator]


def _dataclass(fields: dict[str, Any], rng: Any) -> Any:
    usable = [key if key.isidentifier() and not keyword.iskeyword(key) else f"f{i}" for i, key in enumerate(fields)]
    names = dict(zip(usable, fields.values(), strict=True))
    return dataclasses.make_dataclass("Data", [(key, Optional[t], None) for key, t in names.items()])


def _named_tuple(fields: dict[str, Any]) -> Any:
    return NamedTuple("Named", [(f"n{i}", t) for i, t in enumerate(fields.values())])  # type: ignore[misc]


def unions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, min_size=2, max_size=3).map(lambda options: Union[tuple(options)])


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    sizes = st.sampled_from([Field(), Field(min_length=1), Field(max_length=2), Field(min_length=2, max_length=2)])
    lists = st.builds(lambda t, size: Annotated[list[t], size], inner, sizes)
    maps = st.builds(lambda k, t, size: Annotated[dict[k, t], size], st.sampled_from(KEYS), inner, sizes)
    return st.one_of(
        lists,
        maps,
        inner.map(lambda t: tuple[t, ...]),
        inner.map(lambda t: collections.deque[t]),
        st.lists(inner, max_size=3).map(lambda types: tuple[tuple(types)] if types else tuple[()]),
        st.sampled_from([str, int, Grade, dt.date]).map(lambda t: set[t]),
        st.sampled_from([str, int, Grade, dt.date]).map(lambda t: frozenset[t]),
        inner.map(lambda t: collections.abc.Sequence[t]),
    )


def tagged() -> st.SearchStrategy[Any]:
    """Objects that a key tells apart, and not always the first that could."""

    def make(number: int, declared: bool, shared: bool) -> Any:
        options = [
            create_model(f"Option{i}", id=(Literal[f"i{i}"], ...), kind=(Literal[f"k{i}"], f"k{i}"), v=(int, 0))
            for i in range(number)
        ]
        union = Union[tuple(options)]
        one = Annotated[union, Field(discriminator="kind")] if declared else union
        return tuple[one, options[0]] if shared else one

    return st.builds(make, st.integers(2, 3), st.booleans(), st.booleans())


def recursive(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def make(type_: Any) -> Any:
        class Node(BaseModel):
            value: type_ = None  # type: ignore[valid-type]
            next: Optional["Node"] = None
            more: list["Node"] = []

        Node.model_rebuild(_types_namespace={"Node": Node})
        return Node

    return inner.map(make)


TYPES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(LEAVES) | tagged(),
    lambda inner: st.one_of(
        containers(inner), unions(inner), classes(inner), recursive(inner), inner.map(lambda type_: Optional[type_])
    ),
    max_leaves=5,
)
