"""`manyminima evaluate`: what the ensemble is worth beside its own members, and how best to combine them."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.fitting import CALIBRATE, CALIBRATES, COEFFICIENTS, FITTED, check_fit
from manyminima.cli.output import HTML, check_files, console_beside, json_option, show

_DATA = "Rows to judge on. Default: the test rows of the run's own data. Another source: all its rows."
_TARGET = "The column with the labels in another table. Default: it is called as in the run's own."
_KEYS = "verdict, members, ensemble, average, diversity, by_size, ways, doubt, about and more"
_AVERAGES = "Also what averages of the members' weights are worth beside averages of their predictions."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: Annotated[str | None, typer.Option(help=_DATA)] = None,
    target: Annotated[str | None, typer.Option(help=_TARGET)] = None,
    coefficients: Annotated[str | None, typer.Option(help=COEFFICIENTS, autocompletion=among(FITTED))] = None,
    calibrate: Annotated[str | None, typer.Option(help=CALIBRATE, autocompletion=among(CALIBRATES))] = None,
    html: Annotated[Path | None, typer.Option(help=f"{HTML} Default: RUN/analysis/report.html.")] = None,
    json: Annotated[Path | None, json_option(_KEYS, "RUN/analysis/report.json")] = None,
    averages: Annotated[bool, typer.Option("--averages", help=_AVERAGES)] = False,
) -> None:
    """Score the ensemble and each member on rows that nothing was trained or chosen on.

    What is fitted with --coefficients and --calibrate, on the run's validation rows, is kept beside the run: from then on
    [bold]mm.load[/bold] predicts and exports with it.

    Example: manyminima evaluate runs/x --coefficients fitted --calibrate temperature
    """
    check_fit(coefficients, calibrate)
    import manyminima as mm
    from manyminima.cli import backend
    from manyminima.cli.reading import reading
    from manyminima.cli.waiting import predict_members

    snapshots = mm.Snapshots(run)
    contract, fits = snapshots.about["data"], coefficients is not None or calibrate is not None
    html, json = html or run / "analysis" / "report.html", json or run / "analysis" / "report.json"
    check_files(html, json)
    backend.choose()  # before the data: Keras's own are loaded with Keras
    with reading() as told:
        rows = mm.datasets.evaluation_rows(contract, data, target=target, progress=told)
        held_out = rows.dataset or (mm.datasets.run_dataset(contract, progress=told) if fits else None)
    ensemble = mm.load(run)
    validation = (held_out.y_val, predict_members(ensemble, held_out.x_val, "validation rows")) if held_out else None
    if fits and validation:
        ensemble, kept = _fit(snapshots, ensemble, validation, coefficients or "uniform", calibrate or "none")
        console_beside(json).print(kept, highlight=False, markup=False, soft_wrap=True)
    report = mm.report(
        rows.y,
        predict_members(ensemble, rows.x, rows.text),
        run=ensemble,
        x=rows.x,
        validation=validation,
        averages=_averages(ensemble, rows) if averages else None,
    )
    show(report, f"On {rows.text}:", html, json)


def _fit(run, ensemble, validation, coefficients: str, calibrate: str):
    """Fit on the validation rows, keep the result beside the run, and return the ensemble that uses it, and what to say."""
    import manyminima as mm
    from manyminima.inference.loading import keep

    y, probs = validation
    found = mm.Combination.fit(y, probs, coefficients, calibrate, task=ensemble.about["task"])
    path = keep(run, found)
    return ensemble.combined_by(found), f"On {len(y):,} validation rows: {found.label}. Kept in {path}."


def _averages(ensemble, rows):
    from manyminima import datasets
    from manyminima.averaging import batchnorm

    known = ensemble.about["data"] if batchnorm.layers_of(ensemble.model) else None
    x_train = datasets.training_inputs(known, rows) if known else None
    return ensemble.average_scores(rows.x, rows.y, x_train=x_train)
