"""The public sets that the benchmarks measure on, put in place and checked.

    python benchmarks/get_data.py                        # from the original repositories: all three sets
    python benchmarks/get_data.py citations usaddress    # some of them
    python benchmarks/get_data.py --from DIR             # from finished copies in DIR/NAME/{train,test}.jsonl
    python benchmarks/get_data.py --list                 # names, origins, licences

| set | origin | licence |
| --- | --- | --- |
| citations | AnyStyle's training and gold references, github.com/inukshuk/anystyle | BSD-2-Clause |
| snips_restaurant | SNIPS' BookRestaurant queries (Coucke et al. 2018), github.com/sonos/nlu-benchmark | CC0 1.0 |
| usaddress | labelled United States addresses, github.com/datamade/usaddress | MIT |

Originals are fetched at a fixed commit; each of them, and each finished file, has to have the hash that
`lib/public_sets.json` says. The conversion (`lib/public_sets.py`) gave the finished files byte for byte from these
repositories at these commits. The download itself has been tried on a server of this machine's own (the tests do that),
not on GitHub.
"""

from __future__ import annotations

import argparse
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib.command_line import make_parser
from lib.public_sets import SPLITS, PublicSet, check, digest, read_description
from lib.tasks import add_data_argument

HOST = "https://raw.githubusercontent.com"
TIMEOUT = 60.0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("sets", metavar="SET", nargs="*", help="names of sets (default: all)")
    add_data_argument(parser)
    parser.add_argument("--from", dest="copies", type=Path, metavar="DIR", help="take finished copies from there")
    parser.add_argument(
        "--host", default=HOST, metavar="URL", help="where originals are fetched (default: %(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="print the sets and fetch nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Put every set in place that is not there yet."""
    parser = build_parser()
    args = parser.parse_args(argv)
    known = read_description()
    if unknown := set(args.sets) - known.keys():
        parser.error(f"expected some of {', '.join(known)}, found {', '.join(sorted(unknown))}")
    for name in args.sets or known:
        found = known[name]
        if args.list:
            print(f"{name}: github.com/{found.repository} at {found.commit}, {found.licence}")
        elif is_in_place(found, args.data / name):
            print(f"{name}: already in {args.data / name}")
        else:
            files = fetch(found, args.host) if args.copies is None else copies(found, args.copies / name)
            put(found, files, args.data / name)
            print(f"{name}: in {args.data / name}, with the expected hashes")


def is_in_place(found: PublicSet, folder: Path) -> bool:
    """True if the finished files are there, with the expected hashes."""
    paths = {split: folder / f"{split}.jsonl" for split in SPLITS}
    if not all(path.is_file() for path in paths.values()):
        return False
    return all(digest(path.read_bytes()) == found.splits[split].sha256 for split, path in paths.items())


def fetch(found: PublicSet, host: str) -> Mapping[str, bytes]:
    """Fetch the originals and make the finished files of them."""
    contents = {}
    for original in found.originals:
        url = f"{host}/{found.repository}/{found.commit}/{original.path}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                contents[original.path] = response.read()
        except (urllib.error.URLError, TimeoutError) as error:
            raise SystemExit(f"expected {url}, found {error}; with copies at hand give --from DIR") from error
        check(contents[original.path], original.sha256, url)
    return {split: found.make(split, contents) for split in SPLITS}


def copies(found: PublicSet, folder: Path) -> Mapping[str, bytes]:
    """Read finished files from a folder."""
    files = {}
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        if not path.is_file():
            raise SystemExit(f"expected {path}, found no such file")
        files[split] = path.read_bytes()
    return files


def put(found: PublicSet, files: Mapping[str, bytes], folder: Path) -> None:
    """Check the finished files and write them with their schema, all or none."""
    for split in SPLITS:
        check(files[split], found.splits[split].sha256, f"{found.name}/{split}.jsonl")
    work = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for split, content in files.items():
        (work / f"{split}.jsonl").write_bytes(content)
    shutil.copyfile(found.schema_file, work / "schema.py")
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


if __name__ == "__main__":
    main()
