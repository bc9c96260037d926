"""What the tree says about a type, and what cannot be a schema."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import pytest
from pydantic import (
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    EmailStr,
    Field,
    PlainValidator,
    RootModel,
    Tag,
    TypeAdapter,
    create_model,
)
from schema_zoo import (
    Aliases,
    Box,
    ByName,
    Cat,
    Defaults,
    Dog,
    Extras,
    Home,
    Item,
    Movie,
    Names,
    Nest,
    Order,
    Pair,
    Point,
    Rich,
    Scalars,
    Tree,
    Unions,
)

from extractft.errors import MissingDependencyError, SchemaError
from extractft.schema import (
    MISSING,
    ArrayNode,
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
from timing import assert_within


def fields(type_: Any, **options: Any) -> dict[str, Any]:
    schema = Schema.of(type_, **options)
    node = schema.resolve(schema.tree)
    assert isinstance(node, ObjectNode)
    return {field.name: field for field in node.fields}


def test_names_and_words() -> None:
    assert Schema.of(Item).name == "Item"
    assert Schema.of(list[Item]).name == "list[Item]"
    assert Schema.of(dict[str, Item] | None).name == "dict[str, Item] | None"
    assert Schema.of(Box[int]).name == "Box[int]"
    assert Schema.of(Annotated[Item, "x"]).name == "Item"
    assert Schema.of(Item).description == "A line.\n\nWith a second paragraph."
    assert Schema.of(Box[int]).description == "A box."
    assert Schema.of(Names).description == "Names."
    assert Schema.of(Point).description == "Where it is."
    assert Schema.of(Movie).description == "A movie."
    for type_ in (Tree, Pair, Rich, list[Item], int):
        assert Schema.of(type_).description is None
    assert fields(Item)["name"].description == "What it is"
    assert fields(Extras)["shown"].description == "Words under the attribute."
    assert fields(Movie)["title"].description == "Its name"
    assert fields(Point)["y"].description == "Up"


def test_defaults_and_requirement() -> None:
    kept = fields(Defaults)
    assert (kept["text"].required, kept["text"].default) == (False, "x")
    assert kept["color"].default == "red"
    assert kept["day"].default is None
    assert kept["money"].default == "0.00"
    assert (kept["labels"].default, kept["seen"].default, kept["made"].default) == ({}, [], [])
    assert kept["pair"].default == [1, 2]
    assert (kept["ident"].required, kept["ident"].default) == (False, MISSING)
    assert (kept["wrong"].required, kept["wrong"].default) == (False, MISSING)
    every = fields(Defaults, omit_defaults=False)
    assert [name for name, field in every.items() if not field.required] == ["wrong"]
    assert every["text"].default == "x"


def test_keys_are_what_parsing_looks_for() -> None:
    assert {name: field.key for name, field in fields(Aliases).items()} == {
        "plain": "PLAIN",
        "fixed": "Fixed Name",
        "inward": "in",
        "choice": "first",
        "chinese": "姓名",
    }
    assert fields(ByName)["inward"].key == "inward"
    assert fields(Rich)["name"].key == "NAME"


def test_what_is_not_parsed_is_no_field() -> None:
    assert list(fields(Extras)) == ["shown", "hidden", "color"]  # the computed one is missing, the excluded one is not
    assert list(fields(Point)) == ["x", "y", "tags"]


def test_references_only_where_something_repeats() -> None:
    order = Schema.of(Order)
    assert list(order.definitions) == ["Item"]
    assert fields(Order)["items"].node == ArrayNode(RefNode("Item"))
    assert Schema.of(Tree).tree == RefNode("Tree")
    assert Schema.of(list[Item]).definitions == {}
    assert Schema.of(Nest).tree == RefNode("Nest")
    assert Schema.of(Nest).definitions["Nest"] == MapNode(StringNode(), RefNode("Nest"))


def test_two_classes_of_one_name_stay_apart() -> None:
    def make(kind: Any) -> Any:
        class Same(BaseModel):
            value: kind

        return Same

    class Both(BaseModel):
        a: make(int)  # type: ignore[valid-type]
        b: make(str)  # type: ignore[valid-type]
        c: dict[str, int] = {}

    nodes = [field.node for field in fields(Both).values()]
    assert [node.name for node in nodes[:2]] == ["Same", "Same"]
    assert nodes[0] != nodes[1]


def test_unions() -> None:
    home = fields(Home)
    assert home["pet"].node.discriminator == "kind"
    assert [option.name for option in home["pets"].node.items.options] == ["Cat", "Dog", "Bird"]
    assert home["maybe"].node.options[-1] == NullNode()
    assert home["maybe"].node.discriminator == "kind"  # told apart by their tags, declared or not
    cat = Schema.of(Home).definitions["Cat"]
    assert isinstance(cat, ObjectNode)
    assert [(field.key, field.required) for field in cat.fields] == [("kind", True), ("lives", False)]


def test_objects_without_a_tag_write_all_their_keys() -> None:
    schema = Schema.of(Unions)
    assert fields(Unions)["shape"].node.discriminator is None
    for name in ("A", "B"):
        node = schema.definitions[name]
        assert isinstance(node, ObjectNode)
        assert all(field.required for field in node.fields)


def test_a_model_alone_leaves_its_tag_out() -> None:
    class Kennel(BaseModel):
        dog: Dog

    assert Schema.of(Kennel).canonical_json(Kennel(dog=Dog())) == '{"dog":{}}'
    assert Schema.of(Cat).canonical_json(Cat()) == "{}"


def test_unions_that_json_cannot_tell_apart_are_noted() -> None:
    class X(BaseModel):
        v: int

    class Y(BaseModel):
        v: int

    assert Schema.of(X | Y).notes == ("Y cannot be told from another option of its union, which is read instead",)
    assert Schema.of(list[str | date]).notes[0].startswith("*: what is text")
    assert Schema.of(str | int).notes == ()


def test_defaults_within_defaults() -> None:
    class Inner(BaseModel):
        a: int = 1

    class First(BaseModel):
        inner: Inner = Inner()

    class Second(BaseModel):
        inner: Inner = Inner()
        first: First = First()

    class Both(BaseModel):
        first: First = First()
        second: Second = Second(inner=Inner(a=2))

    schema = Schema.of(Both)
    assert {field.key: field.default for field in schema.tree.fields} == {"first": {}, "second": {"inner": {"a": 2}}}  # type: ignore[union-attr]
    assert schema.canonical_json(Both()) == "{}"
    assert schema.canonical_json(Both(second=Second())) == '{"second":{}}'


def test_constraints() -> None:
    class M(BaseModel):
        n: Annotated[int | None, Field(ge=1, lt=5)]
        s: Annotated[str, Field(pattern="a", min_length=1)]
        d: Annotated[Decimal, Field(max_digits=4, ge=0)]
        day: Annotated[date, Field(gt=date(2020, 1, 2))]

    nodes = {name: field.node for name, field in fields(M).items()}
    assert nodes["n"] == UnionNode((IntegerNode(1, 4), NullNode()))
    assert nodes["s"] == StringNode(min_length=1, pattern="a")
    assert nodes["d"].constraints == (("ge", "0"), ("max_digits", 4))
    assert nodes["day"].constraints == (("gt", "2020-01-02"),)
    assert nodes["d"].constraint("max_digits") == 4
    assert nodes["d"].constraint("decimal_places") is None


class Strange:
    pass


T = TypeVar("T")


class Deep(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    lines: list["Line"]


class Line(BaseModel):
    total: Any


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        (Any, ""),
        (object, ""),
        (list[Any], "*"),
        (list, "*"),
        (dict, "*"),
        (tuple[int, Any], "1"),
        (dict[str, Callable[[], int]], "*"),
        (type[int], ""),
        (T, ""),
        (dict[float, int], ""),
        (dict[tuple[int, int], int], ""),
        (int | Any, ""),
        (complex, ""),
        (Iterable[int], ""),
        (Annotated[int, PlainValidator(lambda v: v)], ""),
        (Deep, "lines.*.total"),
        (RootModel[list[Any]], "*"),
    ],
    ids=str,
)
def test_what_cannot_be_a_schema(type_: Any, path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.of(type_)
    assert caught.value.path == path


def test_arbitrary_classes_are_named_with_their_path() -> None:
    class M(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: list[Strange]

    with pytest.raises(SchemaError) as caught:
        Schema.of(M)
    assert caught.value.path == "thing.*"
    with pytest.raises(SchemaError, match="Strange"):
        Schema.of(list[Strange])


def test_a_union_does_not_lose_an_option_in_silence() -> None:
    class M(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: int | Strange

    with pytest.raises(SchemaError) as caught:
        Schema.of(M)
    assert caught.value.path == "thing"


def test_alias_paths_and_double_keys() -> None:
    class Path(BaseModel):
        a: int = Field(validation_alias=AliasPath("x", 0))

    class Double(BaseModel):
        a: int = Field(alias="b")
        b: int

    with pytest.raises(SchemaError) as caught:
        Schema.of(Path)
    assert caught.value.path == "a"
    with pytest.raises(SchemaError, match="'b'"):
        Schema.of(Double)


def test_undefined_forward_references() -> None:
    class M(BaseModel):
        other: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SchemaError, match="Nowhere"):
        Schema.of(M)


def test_a_schema_is_a_schema() -> None:
    schema = Schema.of(Item)
    assert Schema.of(schema) is schema
    other = Schema.of(schema, omit_defaults=False)
    assert other.omit_defaults is False
    assert other.type is Item


def test_callable_discriminators_pick_by_class() -> None:
    class X(BaseModel):
        x: int

    class Y(BaseModel):
        y: int

    pick = Discriminator(lambda v: "x" if (hasattr(v, "x") or "x" in v) else "y")
    schema: Schema[Any] = Schema.of(Annotated[Annotated[X, Tag("x")] | Annotated[Y, Tag("y")], pick])
    assert schema.canonical_json(Y(y=1)) == '{"y":1}'


def test_literal_nodes_keep_true_and_one_apart() -> None:
    assert Schema.of(Literal["a", 1, True, None]).tree == LiteralNode(("a", 1, True, None))
    assert len(Schema.of(Literal[1, True]).tree.values) == 2  # type: ignore[union-attr]


def test_it_is_fast_and_knows_no_torch() -> None:
    assert_within(lambda: (Schema.of(Scalars), Schema.of(Order)), 0.1)
    code = "import sys, extractft.schema; sys.exit('torch' in sys.modules or 'llguidance' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_instances_are_no_types_and_are_not_quoted() -> None:
    class Person(BaseModel):
        name: str

    with pytest.raises(SchemaError, match="instance of Person") as caught:
        Schema.of(Person(name="secret"))
    assert "secret" not in str(caught.value)


def test_packages_that_pydantic_misses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("email-validator is not installed")

    monkeypatch.setattr("pydantic.networks.import_email_validator", missing)
    with pytest.raises(MissingDependencyError, match="email-validator") as caught:
        Schema.of(list[EmailStr])
    assert "pydantic[email]" in caught.value.__notes__[0]


def test_messages_speak_of_types_as_people_write_them() -> None:
    with pytest.raises(
        SchemaError, match=r"^x\.\*: expected a type that JSON can spell, found one that takes anything"
    ):
        Schema.of(create_model("Bare", x=(list, ...)))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Item.model_json_schema(), "JSON schema"),
        ({"type": "int"}, "JSON schema"),
        ({"name": str, "age": int}, "name=(str, ...), age=(int, ...)"),
        ({"name": "secret"}, "Pydantic model"),
        ([Item], "list[Model]"),
        ((Item, Order), "Model | Other"),
        ("Item", "not its name"),
        (3, "Pydantic model"),
        (TypeAdapter(Item), "made for"),
        (json, "a class of it"),
        (date(2024, 1, 1), "Pydantic model"),
        (Decimal(1), "Pydantic model"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_type_is_told_so(value: Any, hint: str) -> None:
    with pytest.raises(SchemaError, match="expected a type, found") as caught:
        Schema.of(value)
    assert any(hint in note for note in caught.value.__notes__)
    assert "secret" not in str(caught.value) + "".join(caught.value.__notes__)


def test_what_a_class_of_the_users_raises_is_a_schema_error() -> None:
    class Broken:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            raise KeyError("oh")

    with pytest.raises(SchemaError, match="Broken"):
        Schema.of(list[Broken])


def test_defaults_that_the_class_itself_refuses_are_named() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(validate_default=True)

        count: int = Field(-1, ge=0)

    with pytest.raises(SchemaError, match="count: expected a default that the field takes") as caught:
        Schema.of(Strict)
    assert caught.value.path == "count"


def test_bounds_without_end_are_no_bounds() -> None:
    assert Schema.of(Annotated[float, Field(ge=float("-inf"), le=float("inf"))]).tree == NumberNode()
    with pytest.raises(SchemaError, match="finite bound"):
        Schema.of(Annotated[float, Field(ge=float("inf"))])


def test_a_schema_keeps_its_word_about_defaults() -> None:
    full = Schema.of(Defaults, omit_defaults=False)
    assert Schema.of(full) is full
    assert Schema.of(full, omit_defaults=True).omit_defaults is True
    assert Schema.of(Schema.of(Defaults)).omit_defaults is True


def test_further_keys_are_left_out_of_rows_and_refused_in_records() -> None:
    class Deep(BaseModel):
        model_config = ConfigDict(extra="allow")

        name: str
        inner: "Deep | None" = None

    schema = Schema.of(Deep)
    row = {"name": "a", "more": 1, "inner": {"name": "b", "more": 2}}
    for value in (row, Deep(**row)):  # type: ignore[arg-type]
        read = schema.parse_value(value)
        assert schema.canonical_json(read) == '{"name":"a","inner":{"name":"b"}}'
        assert read.model_extra == {}
    with pytest.raises(SchemaError, match="extra keys"):
        schema.canonical_json(Deep(**row))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="extra_forbidden"):
        Schema.of(create_model("Closed", __config__=ConfigDict(extra="forbid"), name=(str, ...))).parse_value(row)
