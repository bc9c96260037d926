"""What is written depends on values of rows through the weights alone: everything else is the same for other values.

Two runs on rows of the same shape and length, with other names and numbers in them, leave the same bytes, but for
weights, scores and hashes of all rows together. So no file can be asked whether a name is in it.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch
from pydantic import BaseModel
from safetensors import safe_open

from extractft import Example, Extractor, LoRAConfig, Schema, TrainingConfig
from extractft.extractor import fit as module
from extractft.storage import LOCK_FILE
from extractft.training import train

NUMBERS = (
    r"\.(loss|eval_loss|grad_norm|seconds|scoring_seconds|metrics\.\w+|[\w.]*calibration\.[\w.*]+|created|best_metric)$"
    r"|\.field_rates\.[\w.]+\.confidence$|\.files\.README\.md\.size$"
    r"|\.held_out\.ranges\.(start|end)$"
)
"""Scores, losses, times, the ends of the range of ranks that is held out (`tests/data/test_held_out_rule.py`): what may be
another number in another run. Beside them, hashes of 32 bytes may differ."""


class Transfer(BaseModel):
    """A bank transfer."""

    customer: str | None = None
    account: str | None = None


def rows(seed: int) -> list[Example[Transfer]]:
    """The same sentence with other names and account numbers of the same length."""
    rng = random.Random(seed)
    made = []
    for _ in range(12):
        name = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6)).capitalize()
        account = "".join(rng.choice("0123456789") for _ in range(10))
        text = f"Please pay to account {account} of {name}."
        made.append(Example(text, Transfer(customer=name, account=account)))
    return made


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All files of two runs: as they stood in the middle, checkpoints included, and at the end."""
    made = []
    for seed in (1, 2):
        place = tmp_path_factory.mktemp("run")
        config = TrainingConfig(num_train_epochs=2, eval_fraction=0.25, lora=LoRAConfig(r=2), tracking={"mode": "off"})

        def training(*args: Any, place: Path = place, scorer: Any, output_dir: Path, **options: Any) -> Any:
            def scoring(model: Any) -> Any:
                if any(output_dir.glob("*checkpoint*")):
                    shutil.copytree(output_dir, place / "middle", dirs_exist_ok=True)
                return scorer(model)

            options["checkpoint_seconds"] = 0
            return train(*args, scorer=scoring, output_dir=output_dir, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "train", training)
            extractor = Extractor.fit(
                Transfer, rows(seed), base_model=str(tiny_base), config=config, output_dir=place / "end"
            )
        extractor.save_pretrained(place / "saved")
        list(extractor.extract_many([row.text for row in rows(seed)]))
        extractor.save_pretrained(place / "after use")
        made.append(place)
    return made[0], made[1]


def names(place: Path) -> set[str]:
    """All files but the lock, which says what process worked there and since when."""
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file() and path.name != LOCK_FILE}


def test_files_are_the_same_but_for_weights_and_scores(runs: tuple[Path, Path]) -> None:
    one, other = runs
    files = names(one)
    assert files == names(other)
    assert any("checkpoint" in file for file in files)
    assert {"saved/manifest.json", "end/extractor/manifest.json", "after use/manifest.json"} <= files
    for file in sorted(files):
        assert list(differences(one / file, other / file)) == [], file


def differences(one: Path, other: Path) -> Iterator[str]:
    """Where two files differ in what may not depend on values."""
    if one.read_bytes() == other.read_bytes():
        return
    if one.suffix == ".json":
        yield from apart(json.loads(one.read_text()), json.loads(other.read_text()))
    elif one.suffix == ".safetensors":
        if described(one) != described(other):
            yield "tensors"
    elif one.suffix in (".pt", ".pth"):
        yield from apart(*(torch.load(path, weights_only=False) for path in (one, other)))
    elif one.name == "README.md":  # the scores
        lines = zip(one.read_text().splitlines(), other.read_text().splitlines(), strict=True)
        yield from (a for a, b in lines if a != b and not re.fullmatch(r"\| \w+ \| [\d.e-]+ \|", a))
    else:
        yield "bytes"


def described(path: Path) -> Any:
    with safe_open(path, "pt") as file:
        keys = file.keys()
        tensors = {name: (file.get_slice(name).get_shape(), file.get_slice(name).get_dtype()) for name in keys}
        return tensors, file.metadata()


def apart(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Paths at which two structures differ, but for numbers of training and hashes of everything together."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from apart(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            yield from apart(a, b, path)
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            yield path
    elif type(one) is not type(other) or not (one == other or allowed(path, one)):
        yield path


def allowed(path: str, value: Any) -> bool:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return True
    return bool(re.search(NUMBERS, path))


def test_no_row_has_a_hash_of_its_own(runs: tuple[Path, Path]) -> None:
    """Hashes are of all rows together: one of a value, or of how it begins, could be tried out from a list of names."""
    for seed, place in zip((1, 2), runs, strict=True):
        files = names(place)
        assert not [file for file in files if "draft" in file]
        contents = [(place / file).read_bytes() for file in files]
        numbers = {number for content in contents if content.isascii() for number in re.findall(rb"\d{6,10}", content)}
        for secret in secrets(seed):
            assert str(crc32(secret)).encode() not in numbers
            for name in ("md5", "sha1", "sha256", "blake2b"):
                digest = hashlib.new(name, secret).digest()
                assert not any(form in content for content in contents for form in (digest, digest.hex().encode()))


def secrets(seed: int) -> Iterator[bytes]:
    """What a file could hold a hash of: values, how they begin, texts and records."""
    schema = Schema.of(Transfer)
    for row in rows(seed):
        yield from (row.text.encode(), schema.canonical_json(row.output).encode())
        for value in (row.output.customer, row.output.account):
            assert value is not None
            yield from (value[:end].encode() for end in range(3, len(value) + 1))


def test_the_attack_finds_what_is_there(runs: tuple[Path, Path], tmp_path: Path) -> None:
    digest = hashlib.sha256(next(secrets(1))).hexdigest()
    copy = Path(shutil.copytree(runs[0], tmp_path / "run"))
    (copy / "end" / "hashes.json").write_text(json.dumps([digest]))
    with pytest.raises(AssertionError):
        test_no_row_has_a_hash_of_its_own((copy, runs[1]))


def test_no_value_stands_in_a_file(runs: tuple[Path, Path]) -> None:
    for seed, place in zip((1, 2), runs, strict=True):
        contents = [(place / file).read_bytes().lower() for file in names(place)]
        values = [value for row in rows(seed) for value in (row.output.customer, row.output.account)]
        for value in values:
            assert value is not None
            spelled = {value.lower().encode(code) for code in ("utf-8", "utf-16-le", "utf-32-le")}
            assert not any(
                form in content for content in contents for form in (*spelled, value.encode().hex().encode())
            )
