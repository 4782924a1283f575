"""`manyminima show`: what a run is, and how to repeat it, without Keras."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_json, console_beside, json_option, write_json
from manyminima.cli.waiting import watched

_KEYS = "path, run_id, recipe, epochs, collect, model, data, versions, members, repeat (command, python, toml), problems and more"
_COMMAND = "Print the command that repeats the run, and nothing else."
_PYTHON = "Print the Python program that repeats it."
_TOML = "Print a file for manyminima train FILE that repeats it."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    as_command: Annotated[bool, typer.Option("--command", help=_COMMAND)] = False,
    as_python: Annotated[bool, typer.Option("--python", help=_PYTHON)] = False,
    as_toml: Annotated[bool, typer.Option("--toml", help=_TOML)] = False,
    json: Annotated[Path | None, json_option(_KEYS)] = None,
) -> None:
    """Say what a run is, list its members, and check every file of it. Exit status 1 if a file is damaged.

    Example: manyminima show runs/x --python > again.py
    """
    check_json(json)
    from manyminima.runs.snapshots import Snapshots

    snapshots = Snapshots(run)
    about = snapshots.about
    repeat = _repeat(about)
    wanted = [kind for kind, is_wanted in zip(repeat, (as_command, as_python, as_toml), strict=True) if is_wanted]
    if wanted:
        for kind in wanted:
            typer.echo(_known(run, repeat[kind]).rstrip("\n"))
        return
    problems = snapshots.problems(each=lambda members: watched(members, "checking files"))
    _show(console_beside(json), about, problems)
    write_json({**about, "repeat": repeat, "problems": problems}, json)
    if problems:
        raise typer.Exit(1)


def _repeat(about: Mapping[str, Any]) -> dict[str, str | None]:
    from manyminima.reporting import reproduce

    return {
        "command": reproduce.command(about),
        "python": reproduce.program(about),
        "toml": reproduce.experiment(about),
    }


def _known(run: Path, text: str | None) -> str:
    if text is None:
        raise ValueError(
            f"'{run}' does not say how `manyminima train` would repeat it: only runs of that command do. Type manyminima show "
            f"{run} --python for what is known."
        )
    return text


def _show(console, about: Mapping[str, Any], problems: list[str]) -> None:
    from rich.markup import escape

    from manyminima.reporting.about import lines

    for name, text in lines(about):
        console.print(f"[bold]{name:10}[/bold]", escape(text), highlight=False, soft_wrap=True)
    console.print(_table(about["members"]))
    for problem in problems:
        console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)
    if not problems:
        console.print("All files are complete.", style="green")


def _table(members: list[dict[str, Any]]):
    from rich.table import Column, Table

    names = _shown_logs(members)
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("step", "epoch", *names, "kB")]
    table = Table(Column("member", overflow="ellipsis"), *numbers, box=None, header_style="bold", pad_edge=False)
    for member in members:
        scores = [_number((member.get("logs") or {}).get(name)) for name in names]
        size = f"{member['bytes'] / 1000:,.1f}"
        table.add_row(
            member["file"].removeprefix("members/"), f"{member['step']:,}", _number(member.get("epoch")), *scores, size
        )
    return table


def _shown_logs(members: list[dict[str, Any]]) -> list[str]:
    """Validation logs where there are any, else all: the table has to fit a terminal."""
    names = list(dict.fromkeys(name for member in members for name in member.get("logs") or {}))
    return [name for name in names if name.startswith("val_")] or names


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value or "")
