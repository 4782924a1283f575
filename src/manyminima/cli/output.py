"""What a command writes, and where: checked before any work. Text for people, a page, and what is known as JSON.

`--json FILE` is the same on every command. With `--json -` standard output holds one JSON object and nothing else, and what
people read goes to standard error.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from manyminima import folders

if TYPE_CHECKING:
    from rich.console import Console

HTML = "Where the page goes."


def json_option(keys: str, default: str = "") -> Any:
    """Return the option `--json` of a command.

    Args:
        keys: what the object has, in words.
        default: where it goes by itself, for commands that always write it.
    """
    text = f"Write JSON to this file, or with - to standard output (text then goes to standard error): {keys}."
    return typer.Option("--json", help=f"{text} Default: {default}." if default else text)


def check_files(html: Path, json: Path) -> None:
    """Raise an OSError, before any work, if one of the files cannot be written."""
    check_file(html, "--html", "report.html")
    check_json(json)


def check_json(json: Path | None) -> None:
    """Raise an OSError, before any work, if no JSON can be written there."""
    if json is not None and not _is_stdout(json):
        check_file(json, "--json", "report.json")


def check_file(path: Path, option: str, example: str) -> None:
    """Raise an OSError, before any work, if there is no such file and none can be made."""
    if path.is_dir():
        raise IsADirectoryError(f"'{path}' is a directory. Name a file in it: {path / example}.")
    check_writable(path.parent, option)


def check_writable(out: Path, option: str = "--out") -> None:
    """Raise an OSError if no file can be put into this folder, which need not be there yet."""
    folders.check_writable(out, f"cannot write to '{out}'", option)


def console_beside(json: Path | None) -> "Console":
    """Return where people are talked to: standard output, or standard error where JSON takes that."""
    from rich.console import Console

    return Console(stderr=json is not None and _is_stdout(json))


def write_json(data: Any, json: Path | None) -> None:
    """Write plain data as `--json` says; what is not finite is null."""
    if json is None:
        return
    from json import dumps

    from manyminima.reporting.files import json_data, write_text

    text = dumps(json_data(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if _is_stdout(json):
        typer.echo(text, nl=False)
    else:
        write_text(json, text)


def show(report, heading: str, html: Path, json: Path) -> None:
    """Write both files, print the report below its heading ("": none), and say where the files are."""
    report.to_html(html)
    console = console_beside(json)
    if heading:
        console.print(heading, highlight=False, markup=False)
    console.print(report)
    for line in (f"Report: {html}", *([] if _is_stdout(json) else [f"Numbers: {json}"])):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    write_json(report.to_dict(), json)


def _is_stdout(json: Path) -> bool:
    return str(json) == "-"
