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
from extractft.demo.complaints import Complaint, load_complaints
from extractft.errors import ConfigError
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
    """Show the main job from end to end.

    Args:
        base_model: Hub id, local directory, `.gguf` file or short name.
        train: Complaints to train on, the first of those that are shipped.
        test: Complaints to score on, those that follow.
        output: Where to keep the extractor; it is not kept if `None`.
        seed: Seed of training; the rows are always the same.
        config: Training settings; the defaults with `seed` and fewer epochs if `None`.
        console: Where to print.

    Returns:
        The trained extractor.

    Raises:
        ConfigError: More rows are asked for than are shipped.
        ArtifactNotFoundError: The base model is not to be had.
    """
    out = console or Console(width=None if sys.stdout.isatty() else 120)  # the tables are wide
    start = time.perf_counter()
    rows = _rows(train, test)
    out.rule(f"{train} complaints to train on, {test} to score on")
    out.print(Panel(Text(rows[0][0]), title="a text"))
    out.print(Syntax(rows[0][1].model_dump_json(indent=2), "json", word_wrap=True))

    out.rule(f"the untrained {base_model}")
    untrained: Extractor[Complaint] = Extractor.from_base(Complaint, base_model=base_model)
    out.print(Panel(Text(untrained.system_prompt), title="the system prompt, written from the schema"))
    before = untrained.evaluate(rows[train:])
    out.print(before)

    out.rule("training")
    with tempfile.TemporaryDirectory(prefix="extractft-demo-") as directory:
        extractor: Extractor[Complaint] = Extractor.fit(
            Complaint,
            rows[:train],
            base_model=base_model,
            config=config or TrainingConfig(seed=seed, num_train_epochs=EPOCHS),
            output_dir=directory,
        )
    out.rule("trained")
    out.print(extractor.evaluate(rows[train:]).compare(before))

    out.rule("one record")
    out.print(Panel(Text(SAMPLE), title="the text"))
    out.print(Syntax(extractor.extract(SAMPLE).model_dump_json(indent=2), "json", word_wrap=True))
    if output is not None:
        extractor.save_pretrained(output)
        out.print(f"saved to {output}")
    out.print(f"{(time.perf_counter() - start) / 60:.1f} minutes")
    return extractor


def _rows(train: int, test: int) -> list[tuple[str, Complaint]]:
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
    return [(row.text, row.output) for row in shipped[: train + test]]
