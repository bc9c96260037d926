"""The demo: score the untrained model on complaints, train, score again, extract one record.

Knows the extractor and the shipped rows; the command line calls it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from extractft.config import TrainingConfig
from extractft.data import Example
from extractft.demo.complaints import Complaint, load_complaints
from extractft.errors import ConfigError
from extractft.evaluation import EvaluationReport
from extractft.extractor import Extractor

__all__ = ["SAMPLE", "run_demo"]

SAMPLE = (
    "龙琳   ，宁夏回族自治区璐市城东林街g座 955491，nafan@example.com。"
    "小区垃圾堆积成山，晚上噪音扰人清梦，停车难上加难，简直无法忍受！"
    "太插件了阿萨德看见啊啥的健康仨都会撒娇看到撒谎的、"
)

EPOCHS = 2
"""These complaints are learned sooner than most data: the demo spares the processor the other epochs."""


def run_demo(
    *,
    base_model: str = "smollm2-135m",
    train: int = 120,
    test: int = 20,
    output: Path | None = None,
    seed: int = 0,
    config: TrainingConfig | None = None,
    console: Console | None = None,
) -> Extractor[Complaint]:
    """Train on shipped complaints, score before and after, and extract one record.

    Args:
        base_model: Hub id, local directory, `.gguf` file or short name.
        train: Complaints to train on, the first of those that are shipped.
        test: Complaints to score on, those that follow.
        output: Directory to keep the extractor in; it is not kept if `None`.
        seed: Seed of training; the rows are always the same.
        config: Training settings; the defaults with `seed` and fewer epochs if `None`.
        console: Console to print on.

    Returns:
        The trained extractor.

    Raises:
        ConfigError: More rows are asked for than are shipped.
        ArtifactNotFoundError: The base model is not to be had.
    """
    out = console or Console(width=None if sys.stdout.isatty() else 120)  # the tables are wide
    start = time.perf_counter()
    rows = _load_rows(train, test)
    out.rule(f"{train} complaints to train on, {test} to score on")
    _print_record(out, "a text", rows[0].text, rows[0].output)
    before = _score_untrained(out, base_model, rows[train:])
    out.rule("training")
    extractor = _train(base_model, rows[:train], config or TrainingConfig(seed=seed, num_train_epochs=EPOCHS))
    out.rule("trained")
    out.print(extractor.evaluate(rows[train:]).compare(before))
    out.rule("one record")
    _print_record(out, "the text", SAMPLE, extractor.extract(SAMPLE))
    if output is not None:
        extractor.save_pretrained(output)
        out.print(f"saved to {output}")
    out.print(f"{(time.perf_counter() - start) / 60:.1f} minutes")
    return extractor


def _score_untrained(out: Console, base_model: str, rows: list[Example[Complaint]]) -> EvaluationReport:
    out.rule(f"the untrained {base_model}")
    untrained: Extractor[Complaint] = Extractor.from_base(Complaint, base_model=base_model)
    out.print(Panel(Text(untrained.system_prompt), title="the system prompt, written from the schema"))
    report = untrained.evaluate(rows)
    out.print(report)
    return report


def _train(base_model: str, rows: list[Example[Complaint]], config: TrainingConfig) -> Extractor[Complaint]:
    with tempfile.TemporaryDirectory(prefix="extractft-demo-") as directory:
        return Extractor.fit(Complaint, rows, base_model=base_model, config=config, output_dir=directory)


def _print_record(out: Console, title: str, text: str, record: Complaint) -> None:
    out.print(Panel(Text(text), title=title))
    out.print(Syntax(record.model_dump_json(indent=2), "json", word_wrap=True))


def _load_rows(train: int, test: int) -> list[Example[Complaint]]:
    """The first of the shipped rows, as many as are asked for.

    Raises:
        ConfigError: There are not so many.
    """
    shipped = load_complaints()
    if train + test > len(shipped):
        raise ConfigError(
            f"expected at most {len(shipped)} complaints to train and score on, found {train} and {test}"
        ).hint(
            "More of them come from examples/complaints/generate.py in the repository: train on its files with "
            "`extractft fit`."
        )
    return shipped[: train + test]
