"""`manyminima verify`: is every file of a run as it was written? Without Keras."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.errors import plain_errors

_REBUILD = "Write index.json anew from the members' files, then verify."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    rebuild_index: Annotated[bool, typer.Option("--rebuild-index", help=_REBUILD)] = False,
) -> None:
    """Read every byte of a run, and name each file that is truncated, altered, missing, extra, renamed, foreign or a copy.

    Nothing is changed unless --rebuild-index is given. Exit status 1 if anything is wrong.

    Example: manyminima verify runs/x
    """
    from manyminima.runs.rebuild import rebuild_index as rebuild
    from manyminima.runs.verify import inspect

    named = rebuild(run) if rebuild_index else None
    found = inspect(run)
    if json:
        from manyminima.runs.format import json_text

        typer.echo(json_text(found.to_dict()), nl=False)
    else:
        _show(found, None if named is None else len(named))
    if not found.sound:
        raise typer.Exit(1)


def _show(found, named: int | None) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
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
