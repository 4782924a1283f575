"""`manyminima report`: the report on predictions that any framework made."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.fitting import CALIBRATE, CALIBRATES, COEFFICIENTS, FITTED, check_fit
from manyminima.cli.output import HTML, check_files, json_option, show

_PROBS = "Members' probabilities: .npy of (members, examples, classes), or .npz with that array or one for each member."
_LABELS = "Labels: .npy of (examples,), or .npz with that one array."
_INPUTS = "Inputs of the same rows, .npy; where they are images, the least sure examples are shown."
_VALIDATION = "The same for rows that are neither trained on nor reported on: to fit on, and to choose what to ship by."
_KEYS = "verdict, members, ensemble, average, diversity, by_size, ways, doubt and more"
_SHARE = (
    "Instead of separate validation rows: the share of the rows, drawn at random, that is fitted on and not reported."
)


@plain_errors
def command(
    probs: Annotated[Path, typer.Option(help=_PROBS)],
    labels: Annotated[Path, typer.Option(help=_LABELS)],
    inputs: Annotated[Path | None, typer.Option(help=_INPUTS)] = None,
    validation_probs: Annotated[Path | None, typer.Option(help=_VALIDATION)] = None,
    validation_labels: Annotated[Path | None, typer.Option(help="Their labels.")] = None,
    validation_share: Annotated[float | None, typer.Option(help=_SHARE)] = None,
    coefficients: Annotated[str | None, typer.Option(help=COEFFICIENTS, autocompletion=among(FITTED))] = None,
    calibrate: Annotated[str | None, typer.Option(help=CALIBRATE, autocompletion=among(CALIBRATES))] = None,
    task: Annotated[str | None, typer.Option(help="multiclass, binary, multilabel or regression.")] = None,
    from_logits: Annotated[bool, typer.Option("--from-logits", help="The files hold logits.")] = False,
    html: Annotated[Path, typer.Option(help=HTML)] = Path("report.html"),
    json: Annotated[Path, json_option(_KEYS)] = Path("report.json"),
) -> None:
    """Report on members' predictions from PyTorch, scikit-learn or anything else that can write arrays.

    Example: manyminima report --probs members.npz --labels y.npy --validation-share 0.5 --calibrate temperature
    """
    check_fit(coefficients, calibrate)
    fits = coefficients is not None or calibrate is not None
    _check_validation(validation_probs, validation_labels, validation_share, fits)
    check_files(html, json)
    import manyminima as mm
    from manyminima.datasets import predictions
    from manyminima.reporting import words
    from manyminima.reporting.doubt import numbered

    rows = predictions.read(probs, labels, inputs, from_logits=from_logits, task=task)
    if validation_probs and validation_labels:
        held_out = predictions.read(validation_probs, validation_labels, None, from_logits=from_logits, task=rows.task)
    else:
        rows, held_out = predictions.split(rows, validation_share)
    validation = (held_out.y, held_out.probs) if held_out else None
    combination = (
        _fit(rows, validation, coefficients or "uniform", calibrate or "none") if fits and validation else None
    )
    report = mm.report(rows.y, rows.probs, x=rows.x, task=rows.task, validation=validation, combination=combination)
    report = replace(report, doubt=numbered(report.doubt, rows.places))
    show(report, f"On {words.examples(len(rows.y), len(rows.y))} of {probs}:", html, json)


def _fit(rows, validation: tuple[Any, Any], coefficients: str, calibrate: str):
    """Fit on the validation rows, once they are known to be of the same members and other rows."""
    from manyminima.arrays import as_problem
    from manyminima.combination import Combination
    from manyminima.reporting.ways import held_out

    held_out(as_problem(rows.y, rows.probs, rows.task), *validation)
    return Combination.fit(*validation, coefficients, calibrate, task=rows.task)


def _check_validation(probs: Path | None, labels: Path | None, share: float | None, fits: bool) -> None:
    if (probs is None) != (labels is None):
        raise typer.BadParameter("it takes --validation-probs and --validation-labels together.")
    if share is not None and (probs is not None or not 0 < share < 1):
        raise typer.BadParameter(
            "expected a share between 0 and 1, and no validation files beside it.", param_hint="--validation-share"
        )
    if fits and probs is None and share is None:
        raise typer.BadParameter(
            "coefficients and calibrators are not fitted on the rows they are reported on. Give --validation-probs and "
            "--validation-labels, or set rows apart with --validation-share 0.5."
        )
