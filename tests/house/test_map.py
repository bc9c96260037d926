"""The map of the rooms in the docs shows the folders that there are, in the order that the import contract holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "extractft"
PAGE = ROOT / "docs" / "design.md"
ROW = re.compile(r"^\| (`[^|]*`) \| ([^|]*?) \|", re.MULTILINE)


def _map() -> list[tuple[str, str]]:
    """Rooms and what they do, row by row of the map."""
    _, _, below = PAGE.read_text("utf-8").partition("| room | what it does |")
    return ROW.findall(below.partition("\n\n")[0])


def _rows() -> list[list[str]]:
    """Rooms of each row of the map, from the top."""
    return [re.findall(r"`([^`]+)`", rooms) for rooms, _ in _map()]


def _layers() -> list[set[str]]:
    """Rooms of each layer of the contract about the whole package, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    whole = next(contract for contract in contracts if contract.get("containers") == ["extractft"])
    return [set(re.split(r" [|:] ", layer)) for layer in whole["layers"]]


def test_the_map_shows_every_room_and_no_other() -> None:
    folders = {f"{path.parent.relative_to(PACKAGE).as_posix()}/" for path in PACKAGE.glob("*/**/*.py")}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    shown = [room for row in _rows() for room in row]
    assert sorted(shown) == sorted(folders | files)


def test_each_room_has_a_line() -> None:
    assert all(what.strip() for _, what in _map())


def test_the_map_is_in_the_order_of_the_import_contract() -> None:
    layers = _layers()
    floors = [
        next(number for number, layer in enumerate(layers) if room.split("/")[0].removesuffix(".py") in layer)
        for row in _rows()
        for room in row
    ]
    assert floors == sorted(floors)
    assert set(floors) == set(range(len(layers)))


def test_a_room_within_a_room_stands_below_it() -> None:
    shown = [room for row in _rows() for room in row]
    for place, room in enumerate(shown):
        outer = room.rstrip("/").rpartition("/")[0]
        assert not outer or f"{outer}/" in shown[:place], room
