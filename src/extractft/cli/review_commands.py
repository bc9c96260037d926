"""Commands of a review: `review add`, `review status`, `review export`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from extractft.cli.app import CommandGroup, app
from extractft.cli.command_paths import CommandPaths, file_path, is_stdout, user_path
from extractft.cli.data_options import known_encoding
from extractft.cli.inputs import column_names
from extractft.cli.options import EncodingOption, ForceOption
from extractft.cli.streams import lines_to, print_report, say, write_out

__all__ = ["add", "export_rows", "review_app", "status"]

MOST_FIELDS = 60
"""Fields in the table of `status`; all are in its JSON."""

review_app = typer.Typer(
    name="review",
    cls=CommandGroup,
    help="Records that people look over: fill a review, see how far it is, get rows to train on out of it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(review_app)

DatabaseArgument = Annotated[
    Path, typer.Argument(metavar="DB", parser=user_path, help="The database of the review, such as reviews.db.")
]
NameOption = Annotated[
    str | None, typer.Option("--extractor", metavar="NAME", help="Those of one extractor; all if not given.")
]


@review_app.command("add")
def add(
    database: DatabaseArgument,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Directories of `run`; files of rows with `text` and perhaps `output`."),
    ],
    extractor: Annotated[
        str,
        typer.Option(
            "--extractor", metavar="NAME", help="The extractor of the records: its name when served, or its directory."
        ),
    ],
    reviewers: Annotated[int, typer.Option(min=1, help="People who are to look at each record.")] = 1,
    reason: Annotated[str, typer.Option(help="Reason why these are looked over, shown on the page.")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="[NAME=]COLUMN", help="The column of `text`, `output` or `id`, if it has another name."
        ),
    ] = None,
    encoding: EncodingOption = None,
) -> None:
    """Add records to a review; those that are in it already stay as they are, with what was decided."""
    CommandPaths(sources={"INPUT": inputs, "DB": database}).check()
    columns = column_names(column) or {}
    if unknown := sorted(set(columns) - {"text", "output", "id"}):
        raise typer.BadParameter(f"expected text, output or id, found {unknown[0]}", param_hint="--column")
    room = _room()
    items = [
        *room.read_items(
            inputs,
            extractor=_name_of(extractor),
            reason=reason,
            reviewers=reviewers,
            columns=columns,
            encoding=known_encoding(encoding),
        )
    ]
    with room.ReviewStore(database) as store:
        found = store.add_items(items)
    known = f", {found.known} were there already" if found.known else ""
    say(f"{found.added} records added to {database}{known}")


@review_app.command("status")
def status(
    database: DatabaseArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Show how far a review is, whether reviewers agree, and what they changed in each field."""
    room = _room()
    with room.ReviewStore(database, create=False) as store:
        found = room.review_statistics(store)
    if as_json:
        write_out(json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n")
        return
    agreed = "" if found.agreement is None else f", reviewers agree on {found.agreement:.0%} of {found.compared}"
    write_out(
        f"{found.done} of {found.items} records done: {found.accepted} right as proposed, "
        f"{found.corrected} corrected{agreed}\n"
    )
    if found.fields:
        print_report(_table(found.fields))


@review_app.command("export")
def export_rows(
    database: DatabaseArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL file; stdout if not given."),
    ] = None,
    extractor: NameOption = None,
    changed_only: Annotated[
        bool, typer.Option("--changed-only", help="Leave out records that were right as proposed.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Write what a review decided as rows to train on: `{"id": ..., "text": ..., "output": {...}, "review": {...}}`."""
    CommandPaths(sources={"DB": database}, files={"--output": output}, force=force).check()
    room, count = _room(), 0
    name = None if extractor is None else _name_of(extractor)
    with room.ReviewStore(database, create=False) as store, lines_to(output, "--output", force=force) as write:
        for row in room.corrected_rows(store, extractor=name, changed_only=changed_only):
            write(row)
            count += 1
    say(f"{count} rows" if output is None or is_stdout(output) else f"{count} rows written to {output}")


def _room() -> Any:
    """The room of reviews, loaded when a command needs it."""
    import extractft.review

    return extractft.review


def _name_of(extractor: str) -> str:
    """The name under which an extractor is served: that of its directory."""
    return Path(os.path.abspath(extractor)).name


def _table(fields: Any) -> Any:
    from rich.table import Table

    table = Table(title="fields, the most corrected first")
    table.add_column("field")
    for name in ("proposed", "wrong", "not in the text", "missed", "sure and wrong", "agreement"):
        table.add_column(name, justify="right")
    for name, tally in [*fields.items()][:MOST_FIELDS]:
        agreed = f"{tally.agreed / tally.compared:.0%}" if tally.compared else ""
        numbers = (tally.proposed, tally.wrong, tally.invented, tally.missed, tally.sure_and_wrong)
        table.add_row(name, *map(str, numbers), agreed)
    if len(fields) > MOST_FIELDS:
        table.caption = f"and {len(fields) - MOST_FIELDS} more fields, in --json"
    return table
