"""Constraints that pin every requirement of `pyproject.toml` to its lowest version, for `make test-floors`.

torch stays at the version of `constraints.txt`: a lower one would be a download of gigabytes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?>=(?P<floor>[0-9.]+)")


def floors() -> dict[str, str]:
    """The lowest version of each requirement of the package and of its extras, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    found = [match for entry in wanted if (match := REQUIREMENT.match(entry))]
    return {match["name"].lower(): match["floor"] for match in found if match["name"].lower() != "torch"}


if __name__ == "__main__":
    pinned = re.search(r"^torch==\S+", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    lines = [pinned[0], *(f"{name}=={version}" for name, version in sorted(floors().items()))]
    sys.stdout.write("\n".join(lines) + "\n")
