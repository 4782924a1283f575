"""Where a command writes to: checked before any work; and a report on the terminal, as a page and as a file of numbers."""

import os
from pathlib import Path

HTML = "Where the page goes."
JSON = "Where the numbers go."


def check_files(html: Path, json: Path) -> None:
    """Raise an OSError, before any work, if one of the files cannot be written."""
    for option, path in (("--html", html), ("--json", json)):
        if path.is_dir():
            raise IsADirectoryError(f"'{path}' is a directory. Name a file in it: {path / f'report.{option[2:]}'}.")
        check_writable(path.parent, option)


def check_writable(out: Path, option: str = "--out") -> None:
    """Raise an OSError if no file can be put into this folder, which need not be there yet."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists() or folder.is_symlink())
    if not there.is_dir():
        raise NotADirectoryError(f"cannot write to '{out}': '{there}' is a file. Choose another {option}.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"cannot write to '{out}': no permission in '{there}'. Choose another {option}, or chmod u+w it."
        )


def show(report, heading: str, html: Path, json: Path) -> None:
    """Write both files, print the report below its heading ("": none), and say where the files are."""
    from rich.console import Console

    for path, write in ((html, report.to_html), (json, report.to_json)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    console = Console()
    if heading:
        console.print(heading, highlight=False, markup=False)
    console.print(report)
    for line in (f"Report: {html}", f"Numbers: {json}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
