"""Verbatim fields, ungrounded values and calibration of one extractor, and their cost.

    python benchmarks/trust.py records snips_restaurant --extractor DIR --test 400
    python benchmarks/trust.py records complaints --extractor DIR --test 400

`DIR` is what `quality.py run` left in `benchmarks/.cache/quality/runs/NAME/extractor`. Test rows are extracted
twice, as the extractor was trained, and with every text field verbatim but those with a training value that is not in
its text. Calibration is measured three ways: the model's own confidences, the curves
that `fit` makes on its few held-out rows, and curves cross-fitted on the test rows, in which no row has a say in its
own: what `calibrate` gives with as many rows. Results are kept in `benchmarks/results/trust` and not measured again
while they are there; seconds are processor seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from extractft import Extraction, Extractor, Schema
from extractft.confidence.calibration import Calibration
from extractft.data import Example, split_examples
from extractft.data.field_statistics import collect_field_stats
from extractft.errors import ExtractionError
from extractft.evaluation import CalibrationReport, evaluate_records
from extractft.extractor.outcomes import answers_of, predictions_of
from extractft.grounding import ground
from lib.command_line import add_threads_argument
from lib.results import add_results_arguments, cached
from lib.tasks import Task, add_set_argument, load_task

Outcomes = list[Extraction[Any] | ExtractionError]


def run(args: argparse.Namespace) -> None:
    """Measure the extractor as it is, and with verbatim fields."""
    task = load_task(args.set, args.train, args.test, data=args.data)
    free: Extractor[Any] = Extractor.from_pretrained(args.extractor, schema=task.schema)
    rewritten = rewritten_fields(task, free.schema)
    schema = verbatim(free.schema, free=rewritten)
    strict: Extractor[Any] = Extractor.from_pretrained(args.extractor, schema=schema)
    print(f"{task.name}: {len(task.test)} test rows; verbatim: all text fields but {', '.join(rewritten) or 'none'}")
    for name, extractor in (("free", free), ("verbatim", strict)):
        path = args.results / "trust" / f"{task.name}-{len(task.test)}-{args.label}{name}.json"
        result = cached(path, lambda extractor=extractor: measured(extractor, task))
        print(name)
        for key, value in result.items():
            print(f"  {key:32} {value if not isinstance(value, float) else round(value, 4)}")


def rewritten_fields(task: Task, schema: Schema[Any]) -> list[str]:
    """The text fields with a training value that is not in its text."""
    examples = [Example(text, schema.parse_value(output)) for text, output in task.train]
    return [path for path, found in collect_field_stats(examples, schema).items() if found.not_verbatim]


def verbatim(schema: Schema[Any], *, free: Sequence[str]) -> Schema[Any]:
    """The schema with all text fields verbatim but some, named by path with `*` for list items."""

    def mark(node: Any, path: str) -> Any:
        if not isinstance(node, dict):
            return node
        if node.get("kind") == "string" and path not in free and not node.get("format"):
            return {**node, "verbatim": "exact"}
        if node.get("kind") == "object":
            return {**node, "fields": [{**f, "node": mark(f["node"], join(path, f["key"]))} for f in node["fields"]]}
        if node.get("kind") == "array":
            return {**node, "items": mark(node.get("items"), join(path, "*"))}
        if node.get("kind") == "union":
            return {**node, "options": [mark(option, path) for option in node["options"]]}
        return node

    data = schema.to_dict()
    return Schema.from_dict({**data, "tree": mark(data["tree"], "")})


def join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def measured(extractor: Extractor[Any], task: Task) -> dict[str, Any]:
    """Scores, groundedness, calibration and cost on the test rows."""
    schema = extractor.schema
    examples = [Example(text, schema.parse_value(output)) for text, output in task.test]
    texts = [example.text for example in examples]
    for _ in extractor.extract_many(text for text, _ in task.train[:12]):
        pass
    outcomes: Outcomes = []
    decoding = seconds(lambda: outcomes.extend(extractor._pipeline.run(texts)))
    records = [outcome for outcome in outcomes if isinstance(outcome, Extraction)]
    explaining = seconds(lambda: [extractor._explainer.explained(record) for record in records])
    compiling = seconds(lambda: [extractor._pipeline.request(text) for text in texts])
    gold = [example.output for example in examples]
    report = evaluate_records(schema, gold, predictions_of(outcomes), texts=texts)
    result: dict[str, Any] = {
        "field_f1": report.field_f1,
        "field_f1_interval": report.field_f1_interval,
        "exact_rate": report.exact_rate,
        "valid_rate": report.valid_rate,
        "invented": report.invented,
        "missed": report.missed,
        "ungrounded": report.ungrounded,
        "ungrounded_fields": {path: field.ungrounded for path, field in report.fields.items() if field.ungrounded},
        "no_span": no_span(schema, records),
        "decoding_cpu_seconds": decoding,
        "prompt_and_grammar_share": compiling / decoding,
        "spans_and_confidence_share": explaining / decoding,
    }
    return result | calibration(extractor, task, examples, outcomes)


def no_span(schema: Schema[Any], records: Sequence[Extraction[Any]]) -> str:
    found = [spans for r in records for spans in ground(schema, schema.canonical_value(r.output), r.text).values()]
    return f"{sum(not spans for spans in found)} of {len(found)} values"


def calibration(
    extractor: Extractor[Any], task: Task, examples: list[Example[Any]], outcomes: Outcomes
) -> dict[str, Any]:
    """Calibration of values and records: the model's own, by the curves of `fit`, cross-fitted."""
    explainer, schema = extractor._explainer, extractor.schema
    raw = answers_of(schema, examples, outcomes, explainer.raw_confidence)
    ways = {"raw": raw, "cross-fitted": raw.cross_fitted()}
    if explainer.calibration is None:  # saved before there was any: fitted as `fit` does
        rows = [Example(text, schema.parse_value(output)) for text, output in task.train]
        held_out = split_examples(rows, fraction=extractor.config.eval_fraction, seed=extractor.config.seed)[1]
        held_out = held_out[: extractor.config.max_eval_rows]
        answers = answers_of(schema, held_out, extractor._run(held_out), explainer.raw_confidence)
        explainer = explainer.calibrated(Calibration.fit(answers))
    if explainer.calibration is not None:
        ways["of fit"] = answers_of(schema, examples, outcomes, explainer.confidence)
    return {f"{what} {name}": line(found) for name, way in ways.items() for what, found in way.report().items()}


def line(report: CalibrationReport) -> str:
    low, high = report.ece_interval
    return (
        f"ECE {report.ece:.3f} ({low:.3f} to {high:.3f}; by chance {report.ece_by_chance:.3f})  accuracy "
        f"{report.accuracy:.3f}, at 90 % coverage {report.accuracy_at(0.9):.3f}  AUROC {report.auroc or 0:.3f}  "
        f"n={report.count}"
    )


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the extractor and its texts."""
    add_set_argument(parser)
    add_results_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument("--extractor", type=Path, required=True)
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--label", default="", help="put before the names of the results, for another extractor")
