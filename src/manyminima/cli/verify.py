"""`manyminima verify`: is every file of a run as it was written? Without Keras."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_json, console_beside, json_option, write_json
from manyminima.cli.waiting import watched

_KEYS = "sound, problems (file, kind, text), members, notes, path, run_id"
_REBUILD = "Write index.json anew from the members' files, then verify."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    json: Annotated[Path | None, json_option(_KEYS)] = None,
    rebuild_index: Annotated[bool, typer.Option("--rebuild-index", help=_REBUILD)] = False,
) -> None:
    """Read every byte of a run, and name each file that is truncated, altered, missing, extra, renamed, foreign or a copy.

    Nothing is changed unless --rebuild-index is given. Exit status 1 if anything is wrong.

    Example: manyminima verify runs/x
    """
    from manyminima.runs.rebuild import rebuild_index as rebuild
    from manyminima.runs.verify import inspect

    check_json(json)
    named = rebuild(run) if rebuild_index else None
    found = inspect(run, each=lambda files: watched(files, "reading"))
    _show(console_beside(json), found, None if named is None else len(named))
    write_json(found.to_dict(), json)
    if not found.sound:
        raise typer.Exit(1)


def _show(console, found, named: int | None) -> None:
    from rich.text import Text

    if named is not None:
        text = f"Wrote {Path(found.path) / 'index.json'}, with {_count(named, 'member')}."
        console.print(text, highlight=False, soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    for problem in found.problems:
        console.print(Text(str(problem), style="red"), soft_wrap=True)
    size = sum(member.bytes for member in found.members) / 1e6
    whole = f"{_count(len(found.members), 'whole member')}, {size:,.2f} MB"
    if found.sound:
        console.print(Text(f"All is well: {whole}, each as its SHA-256 says.", style="green"), soft_wrap=True)
    else:
        console.print(Text(f"{_count(len(found.problems), 'problem')}; {whole}.", style="red"), soft_wrap=True)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
