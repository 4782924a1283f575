"""Where a report goes from the command line: the terminal, a page and a file of numbers."""

from pathlib import Path

HTML = "Where the page goes."
JSON = "Where the numbers go."


def check_files(html: Path, json: Path) -> None:
    """Raise an OSError, before any work, if one of the files cannot be written."""
    from manyminima.cli.train import check_writable

    for option, path in (("--html", html), ("--json", json)):
        if path.is_dir():
            raise IsADirectoryError(f"'{path}' is a directory. Name a file in it: {path / f'report.{option[2:]}'}.")
        check_writable(path.parent, option)


def show(report, heading: str, html: Path, json: Path) -> None:
    """Write both files, print the report, and say where they are."""
    from rich.console import Console

    for path, write in ((html, report.to_html), (json, report.to_json)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    console = Console()
    console.print(heading, highlight=False, markup=False)
    console.print(report)
    for line in (f"Report: {html}", f"Numbers: {json}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
