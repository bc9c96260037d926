"""Every construct that a schema may hold, as one type each, and a strategy that fills any of them."""

import dataclasses
import enum
import ipaddress
import pathlib
import re
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, Required, TypeVar
from zoneinfo import ZoneInfo

import annotated_types
import pydantic
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    NaiveDatetime,
    PastDate,
    PlainSerializer,
    PlainValidator,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    TypeAdapter,
    WrapValidator,
    computed_field,
    conint,
    conlist,
    field_serializer,
    field_validator,
    model_validator,
)
from typing_extensions import TypeAliasType, TypedDict

from extractft.schema import (
    ArrayNode,
    BooleanNode,
    IntegerNode,
    LiteralNode,
    MapNode,
    NullNode,
    NumberNode,
    ObjectNode,
    RefNode,
    Schema,
    StringNode,
    UnionNode,
)
from extractft.schema.string_formats import format_regex

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "蓝"
    OTHER = 3


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = 'bad \x7f\n"\\'


class Weather(enum.StrEnum):
    SUN = "晴"
    RAIN = 'a "b"'


class Share(enum.Enum):
    HALF = 0.5
    ALL = 1.0


class Scalars(BaseModel):
    """Plain values."""

    text: str
    count: int
    ratio: float
    flag: bool
    money: Decimal
    day: date
    moment: datetime
    clock: time
    span: timedelta
    ident: uuid.UUID
    raw: bytes


class Defaults(BaseModel):
    text: str = "x"
    empty: str = ""
    count: int = 0
    flag: bool = True
    color: Color = Color.RED
    mood: Literal["a", "b"] | None = None
    only: Literal["v1"] = "v1"
    tags: list[str] = []
    labels: dict[str, int] = Field(default_factory=dict)
    seen: set[int] = Field(default_factory=set)
    made: list[str] = Field(default_factory=list)
    day: date | None = None
    money: Decimal = Decimal("0.00")
    number: int | None = 5
    wrong: str = None  # type: ignore[assignment]
    ident: uuid.UUID = Field(default_factory=uuid.uuid4)
    pair: tuple[int, int] = (1, 2)


class Enums(BaseModel):
    color: Color
    level: Level
    mood: Mood
    share: Share
    mixed: Literal["one", 1, True, None]
    member: Literal[Mood.GOOD, "x"]
    by_weather: dict[Weather, int]


class Containers(BaseModel):
    names: list[str]
    unique: set[Mood]
    numbers: frozenset[int]
    decimals: set[Decimal]
    pair: tuple[int, str]
    many: tuple[float, ...]
    nothing: tuple[()]
    queue: deque[int]
    order: Sequence[str]
    at_least: conlist(int, min_length=1, max_length=3)  # type: ignore[valid-type]
    two: Annotated[set[Literal["a", "b", "c"]], Field(min_length=1)]


class Maps(BaseModel):
    free: dict[str, int]
    numbered: dict[int, str]
    known: dict[Literal["b", "a"], int]
    switch: dict[bool, int]
    days: dict[date, bool]
    coded: dict[Annotated[str, Field(pattern=r"^[A-Z]\d$")], int]
    sized: Annotated[dict[str, int], Field(min_length=1, max_length=2)]
    ordered: OrderedDict[str, int]
    counted: defaultdict[str, list[int]]
    mapping: Mapping[str, str]


class Item(BaseModel):
    """A line.

    With a second paragraph.
    """

    name: str = Field(description="What it is")
    price: Decimal = Field(ge=0, max_digits=8, decimal_places=2)


class Order(BaseModel):
    items: list[Item]
    gift: Item | None = None
    by_name: dict[str, Item] = {}


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


class Person(BaseModel):
    name: str
    friend: Optional["Person"] = None
    employer: Optional["Company"] = None


class Company(BaseModel):
    staff: list[Person]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1
    cat: Cat | None = None


class Bird(BaseModel):
    kind: Literal["bird", "fowl"]


class Home(BaseModel):
    pet: Annotated[Cat | Dog | Bird, Field(discriminator="kind")] = Cat()
    pets: list[Annotated[Cat | Annotated[Dog | Bird, Field(discriminator="kind")], Field(discriminator="kind")]]
    maybe: Cat | Dog | None = None


def _kind(value: Any) -> str:
    return "a" if (value.get("a") if isinstance(value, dict) else getattr(value, "a", None)) is not None else "b"


class A(BaseModel):
    a: int = 0
    note: str | None = None


class B(BaseModel):
    b: int = 0
    note: str | None = None


class Unions(BaseModel):
    plain: int | str
    numeric: int | float
    when: datetime | date | None
    shape: A | B
    either: A | dict[str, int]
    many: list[int] | list[str] | None = None
    logical: bool | int | str
    tagged: Annotated[Annotated[A, Tag("a")] | Annotated[B, Tag("b")], Discriminator(_kind)]
    left: Annotated[float | int, Field(union_mode="left_to_right")]
    literal: Literal["x"] | int | None = "x"


class Numbers(BaseModel):
    small: int = Field(ge=0, lt=10)
    even: int = Field(multiple_of=2)
    big: int = Field(ge=-(2**60), le=2**60)
    share: float = Field(ge=0, le=1)
    above: float = Field(gt=0)
    tiny: float = Field(gt=-1e-6, lt=1e-6)
    huge: float = Field(ge=-1e18, le=1e300)
    cents: float = Field(multiple_of=0.01, ge=0, le=100)
    quarter: float = Field(multiple_of=0.25, ge=0, le=100)
    threes: float = Field(multiple_of=3, ge=-99, le=99)
    bounded: conint(gt=3, le=5)  # type: ignore[valid-type]
    optional: int | None = Field(None, ge=3)


class Texts(BaseModel):
    short: str = Field(min_length=1, max_length=5)
    word: str = Field(pattern=r"^\w{2,4}$")
    digits: str = Field(pattern=r"\d{3}")
    either: str = Field(pattern=r"^a|b$")
    compiled: str = Field(pattern=re.compile("^abc$", re.IGNORECASE))
    both: str = Field(pattern="b", min_length=2, max_length=4)
    stripped: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=4)]
    length: Annotated[str, annotated_types.Len(2, 3)]


class Decimals(BaseModel):
    money: Annotated[Decimal, Field(max_digits=5, decimal_places=2)]
    whole: Annotated[Decimal, Field(max_digits=4, decimal_places=0, ge=0)]
    fraction: Annotated[Decimal, Field(max_digits=3, decimal_places=3)]
    digits_only: Annotated[Decimal, Field(max_digits=4)]
    places_only: Annotated[Decimal, Field(decimal_places=2)]


class Days(BaseModel):
    day: date = Field(ge=date(2000, 1, 1))
    past: PastDate


class Backtrack(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    doubled: str = Field(pattern=r"^(a|b)\1$")
    ahead: str = Field(pattern=r"^(?=a)a+$")
    bounded: str = Field(pattern=r"\bab\b")
    compiled: str = Field(pattern=re.compile(r"^[[a]\d$", re.IGNORECASE))
    word: str = Field(pattern=r"^[\w-]+$")


class Zones(BaseModel):
    aware: AwareDatetime
    naive: NaiveDatetime
    either: datetime


class Formats(BaseModel):
    site: AnyUrl
    web: HttpUrl
    path: pathlib.Path
    address: ipaddress.IPv4Address
    secret: SecretStr
    uuid4: pydantic.UUID4


class Aliases(BaseModel):
    model_config = ConfigDict(alias_generator=lambda name: name.upper())

    plain: int
    fixed: str = Field(alias="Fixed Name")
    inward: int = Field(validation_alias="in", serialization_alias="out")
    choice: str = Field(validation_alias=AliasChoices(AliasPath("deep", 0), "first", "second"))
    chinese: str | None = Field(None, alias="姓名")


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)

    inward: int = Field(alias="in")


class Validated(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, validate_default=True)

    after: Annotated[str, AfterValidator(str.strip)]
    before: Annotated[list[str], BeforeValidator(lambda v: v.split(",") if isinstance(v, str) else v)]
    wrapped: Annotated[int, WrapValidator(lambda v, handler: handler(v))]
    plain: Annotated[int, PlainValidator(int, json_schema_input_type=int)]
    reshaped: Annotated[
        list[str],
        BeforeValidator(lambda v: v.split(",") if isinstance(v, str) else v, json_schema_input_type=str),
        PlainSerializer(",".join),
    ]
    name: str = "  a"

    @field_validator("after", mode="before")
    @classmethod
    def _before(cls, value: Any) -> Any:
        return value

    @field_serializer("wrapped")
    def _serialise(self, value: int) -> str:
        return f"<{value}>"

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, data: Any) -> Any:
        return data

    @model_validator(mode="after")
    def _whole(self) -> "Validated":
        return self


class Extras(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, use_enum_values=True)

    shown: int
    """Words under the attribute."""
    hidden: str = Field(exclude=True)
    color: Color

    @computed_field
    @property
    def double(self) -> int:
        return self.shown * 2


class Box(BaseModel, Generic[T]):
    """A box."""

    content: T
    spare: list[T] = []


class Boxes(BaseModel):
    number: Box[int]
    text: Box[str]
    nested: Box[Box[int]]


class Names(RootModel[list[str]]):
    """Names."""


class Nest(RootModel[dict[str, "Nest"]]):
    pass


class Roots(BaseModel):
    names: Names
    nest: Nest
    either: Names | int = 3


@dataclasses.dataclass
class Point:
    """Where it is."""

    x: int
    y: Annotated[int, Field(description="Up")] = 0
    tags: list[str] = dataclasses.field(default_factory=list)
    cached: int = dataclasses.field(default=1, init=False)


@pydantic.dataclasses.dataclass(config=ConfigDict(alias_generator=str.upper))
class Rich:
    name: str
    point: Point | None = None
    size: int = Field(3, ge=0, le=5)


class Movie(TypedDict):
    """A movie."""

    title: Required[Annotated[str, Field(description="Its name")]]
    year: NotRequired[int]


class Loose(TypedDict, total=False):
    a: int
    b: Required[str]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Plain(BaseModel):
    rich: Rich
    movie: Movie
    loose: Loose
    pair: Pair


Text = TypeAliasType("Text", Annotated[str, Field(max_length=3)])
Value = TypeAliasType("Value", "int | bool | list[Value] | dict[str, Value] | None")


class Aliased(BaseModel):
    short: Text
    other: Text
    value: Value


class Awkward(BaseModel):
    model_config = ConfigDict(title="Weird title", protected_namespaces=())

    description: str
    properties: dict[str, int]
    model_name: str = Field(alias='quote" \\ 龙\n')
    default: int = 1
    required: bool = False


class Empty(BaseModel):
    pass


class Holder(BaseModel):
    empty: Empty = Empty()
    other: Empty | None = None


class Tags(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str


class Tagged(BaseModel):
    tags: frozenset[Tags]
    pairs: set[tuple[int, str]]


class Twenty(BaseModel):
    f0: str | None = None
    f1: str | None = None
    f2: int | None = None
    f3: list[str] | None = None
    f4: dict[str, str] | None = None
    f5: Item | None = None


ZOO: list[Any] = [
    Scalars,
    Defaults,
    Enums,
    Containers,
    Maps,
    Item,
    Order,
    Tree,
    Person,
    Company,
    Home,
    Unions,
    Numbers,
    Texts,
    Decimals,
    Days,
    Backtrack,
    Zones,
    Formats,
    Aliases,
    ByName,
    Validated,
    Extras,
    Boxes,
    Box[Color],
    Names,
    Nest,
    Roots,
    Point,
    Rich,
    Movie,
    Loose,
    Pair,
    Plain,
    Aliased,
    Value,
    Awkward,
    Empty,
    Holder,
    Tagged,
    Twenty,
    list[Item],
    list[Item] | None,
    dict[str, Tree],
    tuple[Item, int],
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Item | list[Item],
    str,
    int,
    float,
    bool,
    Decimal,
    Mood,
    Literal["a", "b"],
    datetime | None,
    set[Decimal],
]


def zoo_id(type_: Any) -> str:
    return Schema.of(type_).name


ZONES = [None, UTC, timezone(timedelta(hours=8)), timezone(-timedelta(minutes=210)), ZoneInfo("Asia/Shanghai")]
BOUNDED: dict[str, st.SearchStrategy[str]] = {
    "date": st.dates(date(2000, 1, 1), date(2020, 1, 1)).map(str),
    "datetime": st.datetimes(datetime(2000, 1, 1), datetime(2020, 1, 1)).map(datetime.isoformat),
    "duration": st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S"),
}
"""Values of formats that the zoo has with `ge` or `now`; another one is a KeyError, to be added here."""
FREE = st.text(st.characters(codec="utf-8"), max_size=6)


def values(schema: Schema[Any], node: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON values of the shape that a node asks for; some are refused by Pydantic for other reasons."""
    deep = depth > 5

    def inner(child: Any) -> st.SearchStrategy[Any]:
        return values(schema, child, depth + 1)

    match node:
        case StringNode():
            return _strings(node)
        case IntegerNode(minimum, maximum, multiple):
            low, high = -(2**70) if minimum is None else minimum, 2**70 if maximum is None else maximum
            if multiple:
                return st.integers(-(-low // multiple), high // multiple).map(lambda k: k * multiple)
            return st.integers(low, high) | st.integers(low, min(high, low + 3))
        case NumberNode():
            return _numbers(node)
        case BooleanNode():
            return st.booleans()
        case NullNode():
            return st.none()
        case LiteralNode(literals):
            return st.sampled_from(literals)
        case ArrayNode():
            head = st.tuples(*map(inner, node.prefix)).map(list)
            if node.items is None:
                return head
            size = node.min_items
            most = size + 2 if node.max_items is None else min(size + 2, node.max_items)
            return st.just([]) if deep and not size else st.lists(inner(node.items), min_size=size, max_size=most)
        case MapNode():
            keys = values(schema, node.keys).map(str)
            most = node.min_items + 2 if node.max_items is None else node.max_items
            if deep and not node.min_items:
                return st.just({})
            return st.dictionaries(keys, inner(node.values), min_size=node.min_items, max_size=most)
        case ObjectNode():
            required = {field.key: inner(field.node) for field in node.fields if field.required}
            optional = {} if deep else {f.key: inner(f.node) for f in node.fields if not f.required}
            return st.fixed_dictionaries(required, optional=optional)
        case UnionNode(options):
            shallow = [
                option for option in options if not isinstance(option, RefNode | ArrayNode | MapNode | ObjectNode)
            ]
            return st.one_of(*map(inner, shallow if deep and shallow else options))
        case RefNode():
            return inner(schema.resolve(node))
    raise AssertionError(node)


def _strings(node: StringNode) -> st.SearchStrategy[str]:
    plain = {
        "date": st.dates(),
        "time": st.times(timezones=st.sampled_from([None, UTC, timezone(timedelta(minutes=-90))])),
        "datetime": st.datetimes(timezones=st.sampled_from(ZONES)),
        "duration": st.timedeltas(),
        "uuid": st.uuids() | st.uuids(version=4),
        "decimal": st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(0, 9, places=2),
        "uri": st.sampled_from(
            ["http://例え.jp/路径?q=a b#f", "https://a.b", "http://u:p@a.b:81/%20", "https://[::1]/x"]
        ),
        "email": st.sampled_from(["a@b.cn", "张三@例子.中国"]),
    }
    if node.format == "decimal":
        places = node.constraint("decimal_places")
        digits = node.constraint("max_digits") or 30
        low = 0 if node.constraint("ge") is not None else 1 - 10**digits
        scaled = st.integers(low, 10**digits - 1)
        free = plain["decimal"] if not node.constraints else st.nothing()
        return free.map(str) | scaled.map(lambda n: str(Decimal(n).scaleb(-(places or 0))))
    if node.format and (node.constraint("now") or node.constraint("ge")):
        return BOUNDED[node.format]
    if node.format:
        return plain[node.format].map(lambda value: TypeAdapter(Any).dump_python(value, mode="json"))
    if node.pattern:
        try:
            return st.from_regex(re.compile(node.pattern)).filter(
                lambda s: _utf8(s) and len(s) <= (node.max_length or 99)
            )
        except re.error:
            return FREE
    most = 6 + node.min_length if node.max_length is None else node.max_length
    return st.text(st.characters(codec="utf-8"), min_size=node.min_length, max_size=most) | st.sampled_from(
        ["127.0.0.1", "1", "true", "2020-01-01", "a,b"]
    )


def _utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _numbers(node: NumberNode) -> st.SearchStrategy[float]:
    low = node.minimum if node.minimum is not None else node.exclusive_minimum
    high = node.maximum if node.maximum is not None else node.exclusive_maximum
    if node.multiple_of:
        step, places = node.multiple_of, 6
        low, high = -1000 if low is None else low, 1000 if high is None else high
        return st.integers(round(low / step), round(high / step)).map(lambda k: round(k * step, places))
    return st.floats(
        low,
        high,
        exclude_min=node.exclusive_minimum is not None,
        exclude_max=node.exclusive_maximum is not None,
        allow_nan=False,
        allow_infinity=False,
    )


assert format_regex(StringNode()) is None
