"""An extractor exported in each format, and each export held against it on the test rows of a set.

    python benchmarks/trust.py exports snips_restaurant --extractor DIR --test 100
    python benchmarks/trust.py exports snips_restaurant --extractor DIR --only merged-bfloat16 gguf-q8_0
    python benchmarks/trust.py exports snips_restaurant --extractor DIR --only gguf-q8_0 --served

GGUF needs llama.cpp's converter, and quantisations other than q8_0 its llama-quantize; formats whose tools are missing
are skipped and said to be. Exports are written into a temporary directory. Merged weights and adapters are decoded on
transformers in their own type, GGUF files by transformers' reader, unpacked to float32, or with `--served` by
llama.cpp's own server, which is started for it (EXTRACTFT_LLAMACPP, EXTRACTFT_LLAMACPP_ARGS). Results are kept in
`benchmarks/results/trust` and not measured again while they are there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from extractft import Extractor
from extractft.errors import MissingDependencyError
from extractft.export import ExportManifest
from extractft.remote.connect import API_KEY
from extractft.remote.managed_server import ManagedServer
from extractft.verification import Candidate, ReferenceRecords, VerificationReport, load_candidate
from lib.command_line import add_threads_argument
from lib.results import add_results_arguments, cached
from lib.tasks import add_set_argument, load_task

EXPORTS: dict[str, dict[str, Any]] = {
    "merged-float32": {"format": "merged", "dtype": "float32"},
    "merged-bfloat16": {"format": "merged", "dtype": "bfloat16"},
    "merged-float16": {"format": "merged", "dtype": "float16"},
    "adapter": {"format": "adapter"},
    "gguf-f16": {"format": "gguf", "dtype": "float16"},
    "gguf-q8_0": {"format": "gguf", "quantization": "q8_0"},
    "gguf-q4_k_m": {"format": "gguf", "quantization": "q4_k_m"},
}
WINDOW, SLOTS = 2048, 4
"""Of llama.cpp: tokens of a prompt and its answer, and requests side by side."""
COLUMNS = (
    "export",
    "MB",
    "prompts equal",
    "records equal",
    "tokens equal",
    "widest gap",
    "margin",
    "confidences apart",
    "F1 (extractor)",
    "ECE of values (extractor)",
    "verdict",
)


def run(args: argparse.Namespace) -> None:
    """Export, verify and print one row of a table for each format."""
    task = load_task(args.set, 0, args.test, data=args.data)
    reference: Extractor[Any] = Extractor.from_pretrained(args.extractor, schema=task.schema)
    rows = [{"text": text, "output": output} for text, output in task.test]
    known: list[ReferenceRecords[Any]] = []
    results = {}
    for name in args.only or EXPORTS:
        shown = f"{name}, llama.cpp" if args.served else name
        path = args.results / "trust" / f"{task.name}-{len(rows)}-{args.label}export-{shown.replace(', ', '-')}.json"
        try:
            results[shown] = cached(path, lambda name=name: measured(reference, rows, known, name, args))
        except MissingDependencyError as error:
            print(f"{name}: skipped: {error}")
    print("\n".join(table(results)))


def measured(
    reference: Extractor[Any],
    rows: list[dict[str, Any]],
    known: list[ReferenceRecords[Any]],
    name: str,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """One export: its size, how long writing it took, and the report of the verification."""
    with tempfile.TemporaryDirectory(prefix="extractft-exports-") as scratch:
        place, start = Path(scratch) / name, time.perf_counter()
        export = reference.export(place, **EXPORTS[name])
        seconds = time.perf_counter() - start
        if not known:  # the extractor's own records are decoded once
            known.append(ReferenceRecords(reference, rows))
        with opened(place, export, reference, args) as candidate:
            report = known[0].compare(candidate.extractor, name=candidate.name, quantized=export.quantized)
        print(report, flush=True)
        size = sum(record.size for record in export.files.values())
        return {"bytes": size, "export_seconds": seconds, "report": report.model_dump(mode="json")}


@contextmanager
def opened(
    place: Path, export: ExportManifest, reference: Extractor[Any], args: argparse.Namespace
) -> Iterator[Candidate[Any]]:
    """An export, ready to decode: loaded here, or on a llama.cpp server of its own."""
    if not args.served:
        yield load_candidate(place, reference)
        return
    if export.weights_file is None:
        raise SystemExit(f"llama.cpp serves GGUF files, and {export.format} is none: choose exports with --only.")
    server = ManagedServer("llama.cpp", place / export.weights_file, window=WINDOW, slots=SLOTS)
    os.environ[API_KEY] = server.api_key
    try:
        yield load_candidate(server.url, reference, directory=args.extractor)
    finally:
        server.close()


def table(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """The results as a table in Markdown."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"| --- |{' ---: |' * (len(COLUMNS) - 2)} --- |"
    for name, result in results.items():
        report = VerificationReport.model_validate(result["report"])
        mine, theirs = report.reference, report.candidate
        cells = (
            name,
            f"{result['bytes'] / 1e6:.0f}",
            f"{report.prompts_equal} of {report.rows}",
            f"{report.records_equal}",
            f"{report.tokens_equal}",
            _short(report.widest_gap),
            _short(report.widest_margin),
            _short(report.confidence_gap),
            f"{theirs.field_f1:.3f} ({mine.field_f1:.3f} ± {mine.field_f1_error:.3f})",
            f"{_short(theirs.ece_values)} ({_short(mine.ece_values)})",
            "the same" if report.passed else "not the same",
        )
        yield f"| {' | '.join(cells)} |"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this measurement."""
    add_set_argument(parser)
    add_results_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument("--extractor", type=Path, required=True, metavar="DIR", help="a saved extractor of the set")
    parser.add_argument("--test", type=int, default=100, help="test rows (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=EXPORTS, metavar="EXPORT", help=f"of {', '.join(EXPORTS)}")
    parser.add_argument("--served", action="store_true", help="GGUF files by llama.cpp's server, started for each")
    parser.add_argument("--label", default="", help="put into the names of results")
