"""First labels from a real server that is wrong in a known tenth, refuses, times out and answers no JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from scripted_teacher import Asked, Reply, teaching

from extractft import Schema, Verbatim
from extractft.errors import BulkRunError, ConfigError, EngineError, ExtractionError
from extractft.labelling import Teacher, TeacherConfig, label_texts
from extractft.labelling.allowed_hosts import require_allowed
from extractft.labelling.sample_votes import vote
from extractft.remote.retrying_client import Retries


class Line(BaseModel):
    article: str
    pieces: int = 1


class Order(BaseModel):
    number: Annotated[str, Verbatim()]
    customer: str | None = None
    lines: list[Line] = []


SCHEMA: Schema[Any] = Schema.of(Order)
ONCE = Retries(attempts=1)


def text_of(number: int) -> str:
    return f"Order no. {number} of 龙琳 🧾: {number % 3 + 1} tea"


def right(number: int) -> dict[str, Any]:
    return {"number": str(number), "customer": "龙琳", "lines": [{"article": "tea", "pieces": number % 3 + 1}]}


def number_of(asked: Asked) -> int:
    return int(asked.text.split()[2])


def teacher(url: str, **settings: Any) -> Teacher:
    limits = {key: settings.pop(key) for key in ("timeout", "retries", "concurrency") if key in settings}
    return Teacher(Order, url, TeacherConfig(model="big", **settings), **{"retries": ONCE, **limits})


def one(url: str, number: int = 7, **settings: Any) -> Any:
    (outcome,) = teacher(url, **settings).inspect_many([text_of(number)])
    return outcome


def canonical(outcome: Any) -> Any:
    return SCHEMA.canonical_value(outcome.output)


def spelled(number: int) -> str:
    return json.dumps(right(number), ensure_ascii=False)


def test_all_samples_agree() -> None:
    with teaching(lambda asked: Reply(spelled(7))) as server:
        outcome = one(server.url)
    assert canonical(outcome) == SCHEMA.canonical_value(SCHEMA.parse_value(right(7)))
    assert outcome.confidence.record == 1.0
    assert set(outcome.confidence.fields.values()) == {1.0}
    assert outcome.text[outcome.spans["customer"][0].start] == "龙"
    temperatures = sorted(asked.body["temperature"] for asked in server.asked)
    assert temperatures == [0, 0.7, 0.7]
    body = server.asked[0].body
    assert body["response_format"]["json_schema"]["schema"]["type"] == "object"
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    assert body["model"] == "big"


def test_samples_vote_field_by_field() -> None:
    answers = [
        {"number": "7", "customer": "龙琳", "lines": []},
        {"number": "7", "customer": "琳", "lines": [{"article": "tea"}]},
        {"number": "7", "customer": "龙琳", "lines": [{"article": "tea"}]},
    ]
    with teaching(lambda asked: Reply(json.dumps(answers[asked.body["seed"]]))) as server:
        outcome = one(server.url)
    assert canonical(outcome) == {"number": "7", "customer": "龙琳", "lines": [{"article": "tea"}]}
    fields = outcome.confidence.fields
    assert (fields["number"], fields["customer"], fields["lines"]) == (1.0, 2 / 3, 2 / 3)
    assert outcome.confidence.record == 2 / 3


def test_where_votes_are_equal_the_first_sample_decides() -> None:
    records = [{"number": "1"}, {"number": "2"}]
    assert vote(records, 2, SCHEMA).record == {"number": "1"}
    assert vote(records[::-1], 4, SCHEMA).confidence.record == 0.25


def test_a_value_called_absent_is_no_missing_one() -> None:
    found = vote([{"number": "1", "customer": "absent"}, {"number": "1"}, {"number": "1"}], 3, SCHEMA)
    assert found.record == {"number": "1"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply("no JSON at all"), "InvalidAnswer"),
        (Reply('{"number": "7", "colour": "red"}'), "InvalidAnswer"),
        (Reply('{"number": "999"}'), "NotVerbatim"),
        (Reply(None, refusal="I will not"), "Refusal"),
        (Reply(spelled(7), finish_reason="content_filter"), "Refusal"),
        (Reply('{"number": "7', finish_reason="length"), "Truncated"),
        (Reply(""), "InvalidAnswer"),
        (Reply(raw=b'{"choices": []}'), "InvalidAnswer"),
        (Reply(raw=b"<html>"), "Status200"),
        (Reply(status=500), "Status500"),
        (Reply(spelled(7), seconds=2.0), "NoAnswer"),
    ],
)
def test_bad_answers_are_none_and_counted(reply: Reply, kind: str) -> None:
    def script(asked: Asked) -> Reply:
        return reply if asked.body["seed"] == 1 else Reply(spelled(7))

    with teaching(script) as server:
        asked = teacher(server.url, timeout=0.5)
        (outcome,) = asked.inspect_many([text_of(7)])
    assert asked.refusals == {kind: 1}
    assert outcome.confidence.record == pytest.approx(2 / 3)
    with teaching(lambda _: reply) as server:
        outcome = one(server.url, timeout=0.5)
    assert isinstance(outcome, ExtractionError)
    assert "龙琳" not in str(outcome)


def test_fences_and_thoughts_around_the_record_are_left_aside() -> None:
    with teaching(lambda _: Reply(f"<think>hm {{</think>\n```json\n{spelled(7)}\n```")) as server:
        assert canonical(one(server.url))["number"] == "7"


@pytest.mark.parametrize(("known", "held_by"), [(("json_object", None), "json_object"), ((None,), "none")])
def test_a_server_that_takes_no_schema_is_held_less_strictly(known: tuple[Any, ...], held_by: str) -> None:
    def script(asked: Asked) -> Reply:
        form = asked.body.get("response_format", {}).get("type")
        return Reply(spelled(number_of(asked))) if form in known else Reply(status=400)

    with teaching(script) as server:
        asked = teacher(server.url, concurrency=1, samples=1)
        outcomes = list(asked.inspect_many([text_of(number) for number in range(4)]))
    assert all(not isinstance(outcome, ExtractionError) for outcome in outcomes)
    assert asked.held_by == held_by
    assert len(server.asked) <= 4 + 2 * 2


def test_a_text_that_the_server_refuses_is_refused_and_others_stay_held() -> None:
    def script(asked: Asked) -> Reply:
        return Reply(status=400) if number_of(asked) == 1 else Reply(spelled(number_of(asked)))

    with teaching(script) as server:
        asked = teacher(server.url)
        outcomes = list(asked.inspect_many([text_of(number) for number in range(3)]))
    assert [isinstance(outcome, ExtractionError) for outcome in outcomes] == [False, True, False]
    assert asked.held_by == "json_schema"


def test_hosts_have_to_be_allowed() -> None:
    for url in ("http://localhost:1", "http://127.0.0.1:1/v1/", "http://[::1]:1"):
        require_allowed(url)
    assert require_allowed("http://127.0.0.1:8000/v1") == "http://127.0.0.1:8000"
    assert require_allowed("https://gpu-1.lan/v1", ["GPU-1.lan"]) == "https://gpu-1.lan"
    for url in (
        "http://gpu-1.lan",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://10.0.0.1",
    ):
        with pytest.raises(ConfigError, match="on this machine or on a host that is allowed"):
            Teacher(Order, url, TeacherConfig(model="big"), allowed_hosts=["other.lan"])
    for url in ("localhost:8000", "ftp://localhost", "http://", "http://localhost:8000?a=b", "http://localhost:x"):
        with pytest.raises(ConfigError, match="Expected the address of a server"):
            require_allowed(url)


def test_a_key_is_sent_and_no_text_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACTFT_ENGINE_API_KEY", "secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with teaching(lambda _: Reply(spelled(7))) as server:
        one(server.url)
    assert server.asked[0].headers[
        "authorization" if "authorization" in server.asked[0].headers else "Authorization"
    ] == ("Bearer secret")


def test_a_server_that_is_not_there_or_has_other_models_is_told_before_any_text_is_sent() -> None:
    with teaching(lambda _: Reply(spelled(7))) as server:
        gone = server.url
        server.models = ["small", "large"]
        with pytest.raises(EngineError, match="with the model 'big', found one with large, small"):
            one(server.url)
        assert not server.asked
        server.models = ["big", "small"]
        assert canonical(one(server.url))["number"] == "7"
    with pytest.raises(EngineError, match="nothing there that takes the connection"):
        one(gone)


# ------------------------------------------------------------------------------------------------------------- files


def write_texts(folder: Path, count: int) -> Path:
    path = folder / "texts.jsonl"
    rows = [{"name": f"o-{number}", "text": text_of(number)} for number in range(count)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def wrong_in_a_tenth(asked: Asked) -> Reply:
    """Wrong where the number ends in 3, refusing for 15, slow for 16, no JSON for 17."""
    number = number_of(asked)
    if number == 15:
        return Reply(None, refusal="no")
    if number == 16:
        return Reply(spelled(16), seconds=2.0)
    if number == 17:
        return Reply("no JSON")
    if number % 10 == 3 and asked.body["seed"] > 0:
        return Reply(json.dumps({**right(number), "customer": f"somebody {asked.body['seed']}"}))
    return Reply(spelled(number))


def label(folder: Path, url: str, **settings: Any) -> Any:
    paths = (folder / "texts.jsonl", folder / "rows.jsonl", folder / "review.jsonl")
    given = {"id_column": "name", "shard_rows": 7, **settings}
    return label_texts(teacher(url, timeout=0.5), *paths, **given)


def test_wrong_refused_slow_and_broken_answers_go_to_review(tmp_path: Path) -> None:
    write_texts(tmp_path, 30)
    with teaching(wrong_in_a_tenth) as server:
        found = label(tmp_path, server.url)
    assert (found.rows, found.review, found.failed) == (24, 3, 3)
    rows, review = lines(tmp_path / "rows.jsonl"), lines(tmp_path / "review.jsonl")
    for row in rows:
        number = int(row["id"][2:])
        assert row["text"] == text_of(number)
        assert SCHEMA.parse_value(row["output"]) == SCHEMA.parse_value(right(number))
    assert [row["id"] for row in review] == ["o-3", "o-13", "o-15", "o-16", "o-17", "o-23"]
    assert {row["id"]: row.get("error") for row in review} == {
        "o-3": None,
        "o-13": None,
        "o-15": "OutputInvalidError",
        "o-16": "ServerError",
        "o-17": "OutputInvalidError",
        "o-23": None,
    }
    doubtful = review[0]
    assert doubtful["output"]["customer"] == "龙琳"  # the surest sample
    assert doubtful["confidence"]["fields"]["customer"] == pytest.approx(1 / 3, abs=1e-3)
    assert doubtful["confidence"]["fields"]["number"] == 1.0
    assert doubtful["text"] == text_of(3)
    assert doubtful["spans"]["number"]


def test_a_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    write_texts(tmp_path, 21)
    stop_at = 7

    def script(asked: Asked) -> Reply:
        return Reply(status=503) if number_of(asked) >= stop_at else Reply(spelled(number_of(asked)))

    with teaching(script) as server, pytest.raises(EngineError, match="does not answer any more"):
        label(tmp_path, server.url)
    assert not (tmp_path / "rows.jsonl").exists()
    with teaching(lambda asked: Reply(spelled(number_of(asked)))) as server:
        found = label(tmp_path, server.url)
        assert {number_of(asked) for asked in server.asked} == set(range(7, 21))
        assert found.rows == 21
        before = (tmp_path / "rows.jsonl").read_bytes()
        asked_before = len(server.asked)
        label(tmp_path, server.url)
        assert len(server.asked) == asked_before
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_another_teacher_or_schema_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    write_texts(tmp_path, 3)
    with teaching(lambda asked: Reply(spelled(number_of(asked)))) as server:
        label(tmp_path, server.url)
        other = Teacher(Order, server.url, TeacherConfig(model="other"), retries=ONCE)
        arguments = (other, tmp_path / "texts.jsonl", tmp_path / "rows.jsonl", tmp_path / "review.jsonl")
        with pytest.raises(BulkRunError):
            label_texts(*arguments, id_column="name", shard_rows=7)
        label_texts(*arguments, id_column="name", shard_rows=7, force=True)


def test_failed_rows_are_asked_for_once_more(tmp_path: Path) -> None:
    write_texts(tmp_path, 20)
    with teaching(wrong_in_a_tenth) as server:
        assert label(tmp_path, server.url).failed == 3
    with teaching(lambda asked: Reply(spelled(number_of(asked)))) as server:
        found = label(tmp_path, server.url, retry_failed=True)
        assert {number_of(asked) for asked in server.asked} == {15, 16, 17}
    assert (found.rows, found.review, found.failed) == (18, 2, 0)


def test_rows_without_a_text_are_counted_and_in_neither_file(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"name": "a", "text": text_of(1)}, {"name": "b"}, {"name": "c", "text": " "}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with teaching(lambda asked: Reply(spelled(1))) as server:
        found = label(tmp_path, server.url)
    assert (found.rows, found.review, found.failed) == (1, 0, 2)
    assert [row["id"] for row in lines(tmp_path / "rows.jsonl")] == ["a"]
    assert (tmp_path / "review.jsonl").read_bytes() == b""
