"""Read our export with Label Studio's own SDK, as its server would, and write what the SDK exports: run in its environment.

python sdk_check.py CONFIG.xml TASKS.json OUTPUT.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import TaskValue


def main(config_path: str, tasks_path: str, output_path: str) -> None:
    config = Path(config_path).read_text("utf-8")
    interface = LabelInterface(config)
    interface.validate()
    imported = []
    for number, task in enumerate(json.loads(Path(tasks_path).read_text("utf-8")), 1):
        require_valid(interface, task)
        imported.append(as_the_server_keeps_it(task, number))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "imported.json")
        source.write_text(json.dumps(imported, ensure_ascii=False), "utf-8")
        converter = Converter(config, folder, download_resources=False)
        converter.convert(str(source), str(Path(folder, "out")), "JSON", is_dir=False)
        exported = json.loads(Path(folder, "out", "result.json").read_text("utf-8"))
        words = marked_words(converter, source)
    Path(output_path).write_text(json.dumps({"tasks": exported, "words": words}, ensure_ascii=False), "utf-8")


def require_valid(interface: LabelInterface, task: dict[str, Any]) -> None:
    for kind in ("annotations", "predictions"):
        for found in task[kind]:
            errors = interface._validate_object(found, return_errors=True)
            assert not errors, errors
            assert found["result"] or kind == "annotations"


def as_the_server_keeps_it(task: dict[str, Any], number: int) -> dict[str, Any]:
    """A task after it went through the SDK's own classes, with the ids that a server gives."""
    given = {**task, "annotations": [{**found, "completed_by": 1} for found in task["annotations"]]}
    value = TaskValue.model_validate(given).model_dump()
    for kind in ("annotations", "predictions"):
        for place, found in enumerate(value[kind]):
            found["id"] = 100 * number + place
    return {"id": number, "meta": task.get("meta"), **value}


def marked_words(converter: Converter, source: Path) -> list[Any]:
    """The marked places, as the SDK's converter understands the config."""
    items = converter.iter_from_json_file(str(source))
    return [[[value["text"], value["labels"]] for value in item["output"].get("label", ())] for item in items]


if __name__ == "__main__":
    main(*sys.argv[1:])
