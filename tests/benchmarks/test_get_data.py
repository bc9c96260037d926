"""Public sets are made of their originals, checked, and put in place whole or not at all.

The originals here are invented and served on loopback; the download from GitHub is not tried by any test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]
ORIGINALS = {
    "citations": """<?xml version="1.0" encoding="UTF-8"?>
<dataset>
  <sequence>
    <citation-number>[7]</citation-number>
    <author>Lovelace, A.</author>
    <date>(1843).</date>
    <title>Notes &amp; sketches (abstract).</title>
    <note>Read
    twice.</note>
    <volume>12(3),</volume>
  </sequence>
</dataset>""",
    "snips_restaurant": json.dumps(
        {
            "BookRestaurant": [
                {
                    "data": [
                        {"text": "a table  for "},
                        {"text": "two", "entity": "party_size_number"},
                        {"text": " at "},
                        {"text": "noon ", "entity": "timeRange"},
                    ]
                }
            ]
        }
    ),
    "usaddress": """<AddressCollection>
  <AddressString><USPSBoxType>PO Box</USPSBoxType> <USPSBoxID>12,</USPSBoxID> <NotAddress>at</NotAddress>
    <PlaceName>Hill</PlaceName> <PlaceName>Valley,</PlaceName> <ZipCode>95420</ZipCode></AddressString>
</AddressCollection>""",
}
ROWS = {
    "citations": (
        "[7] Lovelace, A. (1843). Notes & sketches (abstract). Read twice. 12(3),",
        {
            "citation_number": "7",
            "author": "Lovelace, A.",
            "date": "1843",
            "title": "Notes & sketches (abstract)",
            "volume": "12(3",
        },
    ),
    "snips_restaurant": ("a table for two at noon", {"party_size_number": "two", "time_range": "noon"}),
    "usaddress": (
        "PO Box 12, at Hill Valley, 95420",
        {"usps_box_type": "PO Box", "usps_box_id": "12", "place_name": "Hill Valley", "zip_code": "95420"},
    ),
}


@pytest.fixture
def get_data(load_benchmark: Load) -> ModuleType:
    return load_benchmark("get_data")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server on loopback, and the folder that it serves."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder
        running.shutdown()
        thread.join()


@pytest.fixture
def invented(get_data: ModuleType, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server with an invented original of each set, whose one row is both training and test row."""
    from lib import public_sets

    host, folder = server
    described = {}
    for name, original in ORIGINALS.items():
        path = folder / "somebody" / name / "c0ffee" / "rows"
        path.parent.mkdir(parents=True)
        path.write_text(original, encoding="utf-8")
        text, values = ROWS[name]
        fields = public_sets.load_module(public_sets.SCHEMAS / f"{name}.py").Record.model_fields
        output = {field: values.get(field) for field in fields}
        line = json.dumps({"text": text, "output": output}, ensure_ascii=False) + "\n"
        part = {"originals": ["rows"], "rows": [0], "sha256": public_sets.digest(line.encode())}
        described[name] = {
            "repository": f"somebody/{name}",
            "commit": "c0ffee",
            "licence": "MIT",
            "originals": {"rows": public_sets.digest(path.read_bytes())},
            "splits": {"train": part, "test": part},
        }
    description = tmp_path / "sets.json"
    description.write_text(public_sets.describe(described), encoding="utf-8")
    monkeypatch.setattr(get_data, "read_description", lambda: public_sets.read_description(description))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return host


def test_sets_are_made_of_originals_on_loopback_and_left_alone_afterwards(
    get_data: ModuleType, invented: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lib.tasks import load_task

    get_data.main(["--host", invented, "--data", str(tmp_path / "data")])
    for name, (text, values) in ROWS.items():
        task = load_task(name, 1, 1, data=tmp_path / "data")
        assert [found for found, _ in task.train] == [text]
        assert {key: value for key, value in task.test[0][1].items() if value is not None} == values
        assert task.schema.model_validate(task.test[0][1])
    get_data.main(["--host", "http://127.0.0.1:9", "--data", str(tmp_path / "data")])
    assert capsys.readouterr().out.count("already in") == 3


def test_copies_at_hand_are_checked(get_data: ModuleType, invented: str, tmp_path: Path) -> None:
    get_data.main(["--host", invented, "--data", str(tmp_path / "first")])
    get_data.main(["citations", "--from", str(tmp_path / "first"), "--data", str(tmp_path / "second")])
    assert (tmp_path / "second" / "citations" / "schema.py").is_file()
    test = tmp_path / "first" / "usaddress" / "test.jsonl"
    test.write_text(test.read_text("utf-8").replace("95420", "95421"), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"expected usaddress/test.jsonl with SHA-256"):
        get_data.main(["usaddress", "--from", str(tmp_path / "first"), "--data", str(tmp_path / "second")])
    assert not (tmp_path / "second" / "usaddress").exists()
    with pytest.raises(SystemExit, match="found no such file"):
        get_data.main(["usaddress", "--from", str(tmp_path), "--data", str(tmp_path / "second")])


def test_an_original_of_another_version_is_refused(
    get_data: ModuleType, invented: str, server: tuple[str, Path], tmp_path: Path
) -> None:
    original = server[1] / "somebody" / "citations" / "c0ffee" / "rows"
    original.write_text(ORIGINALS["citations"].replace("1843", "1844"), encoding="utf-8")
    with pytest.raises(SystemExit, match="another version or damaged"):
        get_data.main(["citations", "--host", invented, "--data", str(tmp_path / "data")])
    assert not (tmp_path / "data").exists()


def test_a_server_that_is_not_there_is_said(get_data: ModuleType, invented: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="with copies at hand give --from DIR"):
        get_data.main(["citations", "--host", "http://127.0.0.1:9", "--data", str(tmp_path)])


def test_the_description_is_whole(get_data: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    from lib import public_sets

    sizes = {"citations": (1258, 400), "snips_restaurant": (1500, 400), "usaddress": (1114, 400)}
    for name, found in public_sets.read_description().items():
        rows = [found.splits[split].rows for split in public_sets.SPLITS]
        assert tuple(map(len, rows)) == sizes[name]
        assert all(len(set(numbers)) == len(numbers) for numbers in rows)
        if found.splits["train"].originals == found.splits["test"].originals:
            assert set(rows[0]).isdisjoint(rows[1])
        assert found.schema_file.is_file()
    get_data.main(["--list"])
    assert capsys.readouterr().out.count("github.com/") == 3
