"""The command line: parses, calls, prints.

Exit codes: 0 done; 1 an error of extractft's (message on stderr); 2 wrong usage; 3 done, but some rows failed or the
data has errors. Records go to stdout or to a file, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import extractft
from extractft.cli.inputs import load_config, load_schema, pairs, read_json
from extractft.errors import ExtractFTError, ExtractionError

app = typer.Typer(
    name="extractft",
    help="Pydantic schema + a few hundred examples -> a small local model that extracts validated records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ROWS_FAILED = 3
SchemaArgument = Annotated[str, typer.Argument(metavar="SCHEMA", help="`module:Class` or `file.py:Class`.")]
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help="Examples: .jsonl, .json, .csv, .parquet, .xlsx.")]
ArtifactArgument = Annotated[str, typer.Argument(metavar="EXTRACTOR", help="Directory of a saved extractor.")]
BaseModelOption = Annotated[
    str, typer.Option("--base-model", help="Hub id, local directory, .gguf file or short name (smollm2-135m).")
]
ClassOption = Annotated[str | None, typer.Option(help="The class, to run its validators: module:Class.")]
MovedOption = Annotated[str | None, typer.Option(help="Where the base model is now, if it has moved.")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="Column mapping, `text=complaint`; may be given again.")
]


@contextlib.contextmanager
def _lines_out(path: Path | None) -> Iterator[Any]:
    if path is None:
        yield sys.stdout
    else:
        with path.open("w", encoding="utf-8") as file:
            yield file


def _say(message: Any) -> None:
    from rich.console import Console

    Console(stderr=True).print(message)


@app.command()
def fit(
    schema: SchemaArgument,
    data: DataArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the extractor.")],
    base_model: BaseModelOption = "Qwen/Qwen3-0.6B",
    eval_data: Annotated[str | None, typer.Option(help="Examples to choose the best checkpoint on.")] = None,
    column: ColumnOption = None,
    config: Annotated[Path | None, typer.Option(help="JSON file of TrainingConfig.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, `learning_rate=5e-4` or `lora.r=8`.")
    ] = None,
    init_adapter: Annotated[str | None, typer.Option(help="Saved extractor to go on from.")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Checkpoints; OUTPUT.training if not given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in the work dir.")] = False,
) -> None:
    """Fine-tune a small model to extract records of SCHEMA, and save the extractor."""
    extractor = extractft.Extractor.fit(
        load_schema(schema),
        data,
        base_model=base_model,
        eval_data=eval_data,
        config=load_config(config, pairs(setting, "--set")),
        output_dir=work_dir or output.with_name(output.name + ".training"),
        columns=pairs(column, "--column") or None,
        init_adapter=init_adapter,
        resume=resume,
    )
    if not extractft.training.is_main_process():
        return
    extractor.save_pretrained(output)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in extractor.metrics.items())
    _say(f"Saved to {output} ({scores})" if scores else f"Saved to {output}")


@app.command()
def extract(
    extractor: ArtifactArgument,
    texts: Annotated[str, typer.Argument(metavar="TEXTS", help="JSONL, CSV or text file (a text a line); - is stdin.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSONL file; stdout if not given.")] = None,
    column: Annotated[str, typer.Option("--column", help="Name of the text column.")] = "text",
    schema: ClassOption = None,
    base_model: MovedOption = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Texts decoded side by side.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add confidence and spans to each record.")] = False,
    review: Annotated[Path | None, typer.Option(help="JSONL file for records below --min-confidence.")] = None,
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Less certain records go to --review.")] = 0.9,
) -> None:
    """Extract a record from each of TEXTS, as JSONL: `{"row": 1, "output": {...}}` or `{"row": 2, "error": ...}`."""
    model = _loaded(extractor, schema, base_model)
    rows = extractft.data.iter_text_rows(sys.stdin.buffer if texts == "-" else texts, column=column)
    done = failed = unsure = 0
    with _lines_out(output) as out, _lines_out(review) if review else contextlib.nullcontext(None) as aside:
        for line, extraction in _extract_lines(model, rows, batch_size, explain=explain or review is not None):
            failed += extraction is None
            doubtful = review is not None and _below(extraction, min_confidence)
            unsure += doubtful
            done += extraction is not None and not doubtful
            if extraction is not None and (explain or doubtful):
                line |= _explanation(extraction)
            if doubtful:
                line["text"] = extraction.text
            file: Any = aside if doubtful else out
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
    _say(f"{done} records, {failed} failed" + (f", {unsure} to be looked over in {review}" if review else ""))
    if failed:
        raise typer.Exit(ROWS_FAILED)


def _extract_lines(
    model: Any, rows: Iterable[tuple[int, Any]], batch_size: int | None, *, explain: bool
) -> Iterator[tuple[dict[str, Any], Any]]:
    """One line for each row, in order, with what it came from if it is a record and `explain` asks for it.

    A row that cannot be read fails alone, as one that cannot be extracted does.
    """
    waiting: deque[tuple[int, Any]] = deque()

    def texts() -> Iterator[Any]:
        for number, text in rows:
            waiting.append((number, text))
            yield text

    outcomes = (model.inspect_many if explain else model.extract_many)(texts(), batch_size=batch_size)
    for outcome in outcomes:
        number, text = waiting.popleft()
        if not isinstance(text, str):
            yield {"row": number, "error": "DatasetError", "message": text.message}, None
        elif isinstance(outcome, ExtractionError):
            yield {"row": number, "error": type(outcome).__name__, "message": str(outcome)}, None
        else:
            yield _record_line(model, number, outcome, explain=explain)


def _record_line(model: Any, number: int, outcome: Any, *, explain: bool) -> tuple[dict[str, Any], Any]:
    try:
        value = model.schema.full_value(outcome.output if explain else outcome)
    except Exception as error:  # the schema's own validators and serialisers may make anything of a record
        message = f"The record cannot be written ({type(error).__name__}): let validators return what fields may hold."
        return {"row": number, "error": "OutputInvalidError", "message": message}, None
    return {"row": number, "output": value}, outcome


def _below(extraction: Any, min_confidence: float) -> bool:
    """Tell if a record is less certain than is asked for; one whose confidence is not known is."""
    if extraction is None:
        return False
    return extraction.confidence is None or bool(extraction.confidence.record < min_confidence)


def _explanation(extraction: Any) -> dict[str, Any]:
    """Confidence and places of a record, as JSON-able values."""
    confidence = extraction.confidence
    known = confidence and {
        "record": round(confidence.record, 4),
        "fields": {path: round(number, 4) for path, number in confidence.fields.items()},
        "calibrated": confidence.calibrated,
    }
    failed = {"explanation_error": extraction.explanation_error} if extraction.explanation_error else {}
    return {
        "confidence": known,
        **failed,
        "spans": {
            path: [{"start": span.start, "end": span.end, "method": span.method} for span in spans]
            for path, spans in extraction.spans.items()
        },
    }


@app.command()
def evaluate(
    extractor: ArtifactArgument,
    data: DataArgument,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    column: ColumnOption = None,
    baseline: Annotated[bool, typer.Option("--baseline", help="Score the untrained model as well.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as a page that shows texts and wrong records: private data.")
    ] = None,
    curve: Annotated[Path | None, typer.Option(help="Output of learning-curve, to show on the page.")] = None,
) -> None:
    """Extract from the texts of DATA and compare with their records, field by field."""
    model = _loaded(extractor, schema, base_model)
    columns = pairs(column, "--column") or None
    private = html is not None
    report = model.evaluate(data, columns=columns, keep_records=private, keep_texts=private)
    _print(report)
    before = None
    if baseline:
        untrained: extractft.Extractor[Any] = extractft.Extractor.from_base(
            model.schema, base_model=base_model or model.base_model, prompt=model.config.prompt
        )
        before = untrained.evaluate(data, columns=columns)
        _print(report.compare(before))
    if output:
        output.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if html:
        points = [extractft.evaluation.LearningPoint.model_validate(point) for point in read_json(curve) or ()]
        report.save_html(html, baseline=before, learning_curve=points)


@app.command()
def calibrate(
    extractor: ArtifactArgument,
    data: DataArgument,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    column: ColumnOption = None,
) -> None:
    """Learn from DATA, which the model was not trained on, how far confidences can be believed; kept in EXTRACTOR."""
    model = _loaded(extractor, schema, base_model)
    for what, report in model.calibrate(data, columns=pairs(column, "--column") or None).items():
        low, high = report.ece_interval
        sys.stdout.write(
            f"{what}: {report.count}, {report.accuracy:.3f} right ({report.accuracy_at(0.9):.3f} of the surest 90 %); "
            f"confidence is off by {report.ece:.3f} on average (95 % interval {low:.3f} to {high:.3f})\n"
        )
    model.save_pretrained(extractor)


@app.command("learning-curve")
def learning_curve(
    schema: SchemaArgument,
    data: DataArgument,
    base_model: BaseModelOption = "Qwen/Qwen3-0.6B",
    eval_data: Annotated[str | None, typer.Option(help="Examples to score on; a share of DATA if not given.")] = None,
    column: ColumnOption = None,
    config: Annotated[Path | None, typer.Option(help="JSON file of TrainingConfig.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, `learning_rate=5e-4` or `lora.r=8`.")
    ] = None,
    fractions: Annotated[str, typer.Option(help="Shares of the rows to fit on.")] = "0.25,0.5,1",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the points as JSON.")] = None,
) -> None:
    """Fit on more and more of DATA, and say whether more examples would help."""
    try:
        shares = [float(share) for share in fractions.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"expected numbers such as 0.25,0.5,1: {error}", param_hint="--fractions") from error
    points = []
    for point in extractft.extractor.learning_curve(
        load_schema(schema),
        data,
        fractions=shares,
        base_model=base_model,
        eval_data=eval_data,
        config=load_config(config, pairs(setting, "--set")),
        columns=pairs(column, "--column") or None,
    ):
        points.append(point)
        low, high = point.interval
        sys.stdout.write(f"{point.rows} rows: field F1 {point.field_f1:.3f} (95 % interval {low:.3f} to {high:.3f})\n")
        if output:  # after each point: the next one takes long
            shown = json.dumps([found.model_dump(mode="json") for found in points], indent=2)
            output.write_text(shown + "\n", encoding="utf-8")
    sys.stdout.write(extractft.evaluation.advice(points) + "\n")


@app.command()
def check(
    schema: SchemaArgument,
    data: DataArgument,
    eval_data: Annotated[str | None, typer.Option(help="Held-out examples, to look for leaks.")] = None,
    column: ColumnOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the findings as JSON.")] = None,
) -> None:
    """Look for what would spoil training: bad rows, duplicates, contradictions, leaks, values not in their text."""
    spec: extractft.Schema[Any] = extractft.Schema.of(load_schema(schema))
    columns = pairs(column, "--column") or None
    rows = extractft.data.load_numbered_examples(data, spec, columns=columns)
    held_out = extractft.data.LoadedExamples[Any]()
    if eval_data:
        held_out = extractft.data.load_numbered_examples(eval_data, spec, columns=columns)
    report = extractft.data.check_examples(rows.examples, spec, eval_examples=held_out.examples)
    report = report.renumbered(rows.numbers, held_out.numbers)
    _print(report)
    for note in spec.notes:
        _say(f"the grammar cannot enforce: {note}")
    if output:
        output.write_text(json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if not report.ok:
        raise typer.Exit(ROWS_FAILED)


@app.command()
def prompt(
    schema: SchemaArgument,
    language: Annotated[Literal["auto", "zh", "en"], typer.Option(help="Of the prompt.")] = "auto",
    text: Annotated[str | None, typer.Option(help="Show the whole prompt for this text, control tokens too.")] = None,
    base_model: BaseModelOption = "Qwen/Qwen3-0.6B",
) -> None:
    """Show what the model sees: the system prompt, or with --text the whole rendered prompt."""
    settings = extractft.PromptConfig(language=language)
    spec: extractft.Schema[Any] = extractft.Schema.of(load_schema(schema), omit_defaults=settings.omit_defaults)
    system_prompt = extractft.prompt.render_system_prompt(spec, settings)
    if text is not None:
        modeling = importlib.import_module("extractft.modeling")
        tokenizer = modeling.load_tokenizer(modeling.resolve_base_model(base_model))
        system_prompt = extractft.prompt.ChatRenderer(tokenizer, system_prompt).render(text)
    sys.stdout.write(system_prompt + "\n")


@app.command()
def demo(
    base_model: BaseModelOption = "smollm2-135m",
    train: Annotated[int, typer.Option(min=20, help="Generated complaints to train on.")] = 120,
    test: Annotated[int, typer.Option(min=1, help="Generated complaints to score on.")] = 20,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Keep the extractor here.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of data and training.")] = 0,
) -> None:
    """Generate complaints, score the untrained model, train, score again, extract one record."""
    importlib.import_module("extractft.demo.run").run_demo(
        base_model=base_model, train=train, test=test, output=output, seed=seed
    )


def _loaded(extractor: Path | str, schema: str | None, base_model: str | None) -> Any:
    return extractft.Extractor.from_pretrained(
        extractor, schema=load_schema(schema) if schema else None, base_model=base_model
    )


def _print(report: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(report)  # the tables are wide


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        sys.stdout.write(f"extractft {extractft.__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors of extractft's become a message and exit code 1."""
    # What transformers and peft will rename between them is nothing that a user of a command can act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|peft")
    try:
        app()
    except ExtractFTError as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        sys.stderr.write(f"{type(error).__name__}: {error}\n" + (notes + "\n" if notes else ""))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; a training run goes on with --resume\n")
        raise SystemExit(130) from None
