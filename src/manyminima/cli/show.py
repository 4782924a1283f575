"""`manyminima show`: what a run is, without Keras."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima.cli.errors import plain_errors


@plain_errors
def command(run: Annotated[Path, typer.Argument(help="Directory of a run.")]) -> None:
    """Say what a run is, list its members, and check every file of it."""
    from rich.console import Console
    from rich.markup import escape

    from manyminima.reporting.about import lines
    from manyminima.runs.snapshots import Snapshots

    snapshots = Snapshots(run)
    about, console = snapshots.about, Console()
    for name, text in lines(about):
        console.print(f"[bold]{name:10}[/bold]", escape(text), highlight=False, soft_wrap=True)
    console.print(_table(about["members"]))
    problems = snapshots.problems()
    for problem in problems:
        console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    console.print("All files are complete.", style="green")


def _table(members: list[dict[str, Any]]):
    from rich.table import Column, Table

    names = _shown_logs(members)
    numbers = [Column(name, justify="right", overflow="fold") for name in ("step", "epoch", *names, "kB")]
    table = Table(
        Column("member", no_wrap=True, overflow="fold"), *numbers, box=None, header_style="bold", pad_edge=False
    )
    for member in members:
        scores = [_number((member.get("logs") or {}).get(name)) for name in names]
        size = f"{member['bytes'] / 1000:,.1f}"
        table.add_row(member["file"], f"{member['step']:,}", _number(member.get("epoch")), *scores, size)
    return table


def _shown_logs(members: list[dict[str, Any]]) -> list[str]:
    """Validation logs where there are any, else all: the table has to fit a terminal."""
    names = list(dict.fromkeys(name for member in members for name in member.get("logs") or {}))
    return [name for name in names if name.startswith("val_")] or names


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value or "")
