"""A revision of this package at work, for benchmarks/revisions.py: told by lines of JSON, answered by lines of JSON.

Only what the package promises is called, so that the worker runs on any revision. It may not import `lib`,
which belongs to the revision that measures.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def load_record(path: str) -> Any:
    """The Pydantic class of a set."""
    spec = importlib.util.spec_from_file_location("revision_schema", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Record


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and the result."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def extract(extractor: Any, texts: Sequence[str]) -> list[Any]:
    """The records of one text, or of several side by side."""
    return [extractor.extract(texts[0])] if len(texts) == 1 else list(extractor.extract_many(texts))


def main() -> None:
    """Answer until the input ends."""
    settings = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer

    import torch

    import extractft
    from extractft import Extractor, TrainingConfig

    torch.set_num_threads(settings["threads"])
    record = load_record(settings["schema"])
    config = TrainingConfig(num_train_epochs=settings["epochs"], eval_fraction=0.0, dtype="float32")
    extractor: Any = None
    print(json.dumps({"package": str(Path(extractft.__file__).parent)}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        records: list[Any] = []
        if "train" in asked:
            rows = [(text, record.model_validate(output)) for text, output in asked["train"]]
            fit = functools.partial(Extractor.fit, record, rows, base_model=settings["base_model"], config=config)
            seconds, extractor = timed(fit)
        else:
            seconds, records = timed(functools.partial(extract, extractor, asked["texts"]))
        written = [one.model_dump(mode="json") for one in records]
        print(json.dumps({"seconds": seconds, "records": written}), file=answers, flush=True)


if __name__ == "__main__":
    main()
