"""`manyminima evaluate`: what the ensemble is worth beside its own members."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.errors import plain_errors

_DATA = "Rows to judge on. Default: the test rows of the run's own data. Another source: all its rows."
_AVERAGES = "Also what averages of the members' weights are worth beside averages of their predictions."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: Annotated[str | None, typer.Option(help=_DATA)] = None,
    html: Annotated[Path | None, typer.Option(help="Where the page goes. Default: RUN/analysis/report.html.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the numbers go. Default: RUN/analysis/report.json.")] = None,
    averages: Annotated[bool, typer.Option("--averages", help=_AVERAGES)] = False,
) -> None:
    """Score the ensemble and each member on rows that nothing was trained or chosen on."""
    import manyminima as mm
    from manyminima.cli import backend

    rows = mm.datasets.evaluation_rows(mm.Snapshots(run).about["data"], data)
    html, json = html or run / "analysis" / "report.html", json or run / "analysis" / "report.json"
    for option, path in (("--html", html), ("--json", json)):
        _check_file(path, option)
    backend.choose()
    ensemble = mm.load(run)
    scores = _averages(ensemble, rows) if averages else None
    report = mm.report(rows.y, ensemble.predict_members(rows.x), run=ensemble, averages=scores)
    _write(report, html, json)
    _print(report, rows.text, html, json)


def _averages(ensemble, rows):
    from manyminima import datasets
    from manyminima.averaging import batchnorm

    known = ensemble.about["data"] if batchnorm.layers_of(ensemble.model) else None
    x_train = datasets.training_inputs(known, rows) if known else None
    return ensemble.average_scores(rows.x, rows.y, x_train=x_train)


def _check_file(path: Path, option: str) -> None:
    from manyminima.cli.train import check_writable

    if path.is_dir():
        raise IsADirectoryError(f"'{path}' is a directory. Name a file in it: {path / f'report.{option[2:]}'}.")
    check_writable(path.parent, option)


def _write(report, html: Path, json: Path) -> None:
    for path, write in ((html, report.to_html), (json, report.to_json)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)


def _print(report, text: str, html: Path, json: Path) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"On {text}:", highlight=False)
    console.print(report)
    console.print(f"Report: {html}", highlight=False, soft_wrap=True)
    console.print(f"Numbers: {json}", highlight=False, soft_wrap=True)
