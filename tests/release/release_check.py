"""Look a release over before its tag is made: `make release-check VERSION=0.1.0`.

Versions agree, the changelog has a dated section in the form of Keep a Changelog, the tag is free, nothing is left to commit,
and what would be uploaded builds and satisfies twine. Changes nothing but `dist/`.
"""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)((a|b|rc)[1-9]\d*)?")
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def release_faults(root: Path, version: str) -> list[str]:
    """What has to be put right in the files of `root` before `version` is released."""
    if not VERSION.fullmatch(version):
        return [f"Expected a version like 0.1.0 or 1.0.0rc1, found {version!r}."]
    return [*_versions(root, version), *changelog_faults((root / "CHANGELOG.md").read_text("utf-8"), version)]


def _versions(root: Path, version: str) -> Iterator[str]:
    for name, pattern in (
        ("src/extractft/__init__.py", r'^__version__ = "([^"]*)"$'),
        ("CITATION.cff", r"^version: (\S+)$"),
    ):
        found = re.search(pattern, (root / name).read_text("utf-8"), re.MULTILINE)
        if found is None or found[1] != version:
            yield f"{name}: expected version {version}, found {found[1] if found else 'none'}."


def changelog_faults(text: str, version: str, *, dated: bool = True) -> Iterator[str]:
    """Faults of the changelog's newest section, which has to be that of `version`.

    Args:
        text: The changelog.
        version: The version that is to be released.
        dated: Expect the day of the release, and not the word `unreleased`.
    """
    heading, _, body = text.partition("\n## ")[2].partition("\n")
    name, _, date = heading.partition(" - ")
    if name != version:
        yield f"CHANGELOG.md: expected the newest section to be `## {version} - DATE`, found `## {heading}`."
        return
    if dated and not _is_date(date):
        yield f"CHANGELOG.md: expected the day of the release in `## {version} - 2026-01-31`, found {date!r}."
    kind, entries = "", 0
    for line in [*body.partition("\n## ")[0].splitlines(), "### "]:
        if line.startswith("### "):
            if kind and not entries:
                yield f"CHANGELOG.md: expected entries under {kind}, found none."
            kind, entries = line[4:], 0
            if kind and kind not in KINDS:
                yield f"CHANGELOG.md: expected one of {', '.join(KINDS)}, found {kind!r}."
        elif line.startswith("- "):
            entries += 1
            if not kind:
                yield f"CHANGELOG.md: expected every entry under Added, Changed or Fixed, found {line[:40]!r} before them."


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def repository_faults(root: Path, version: str) -> Iterator[str]:
    """A tag that is there already, and changes that are in no commit."""
    if _git(root, "tag", "--list", f"v{version}"):
        yield f"The tag v{version} exists already; a version is released once."
    if changed := _git(root, "status", "--porcelain").splitlines():
        yield f"Expected everything to be committed, found {len(changed)} changed or new files, such as {changed[0][3:]}."


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.rstrip()


def build(root: Path, folder: Path) -> list[Path]:
    """Build both distributions into an empty `folder` and let twine look at them."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    built = sorted(folder.iterdir())
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], check=True)
    return built


def main(version: str) -> int:
    """Print every fault and return 1, or build and say which tag to make."""
    faults = [*release_faults(ROOT, version), *repository_faults(ROOT, version)]
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        return 1
    built = build(ROOT, ROOT / "dist")
    print(f"{version} can be released: git tag v{version}, then upload {' and '.join(path.name for path in built)}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
