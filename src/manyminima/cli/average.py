"""`manyminima average`: one model out of the members of a run."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.errors import plain_errors

_COEFFICIENTS = "equal, linear (the newest counts most) or exponential (each older one counts less by the same factor)."
_SOUP = "Choose members greedily: best first, each kept if the average is no worse on the validation rows."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the model goes, a .keras file; never overwritten.")],
    coefficients: Annotated[str, typer.Option(help=_COEFFICIENTS)] = "equal",
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest so many members. Default: all.")] = None,
    decay: Annotated[float, typer.Option(help="Of exponential coefficients, in members.")] = 2.0,
    soup: Annotated[bool, typer.Option("--soup", help=_SOUP)] = False,
) -> None:
    """Average the members' weights into one Keras model, and show what that is worth on the validation rows.

    Statistics of BatchNormalization are taken anew from the training rows. Nothing is judged on the test rows: that is what
    [bold]manyminima evaluate[/bold] is for.

    Example: manyminima average runs/x --coefficients exponential --last 10 -o averaged.keras
    """
    _check(out, coefficients)
    import manyminima as mm
    from manyminima.cli import backend

    data = mm.datasets.run_dataset(mm.Snapshots(run).about["data"])
    backend.choose()
    ensemble = mm.load(run)
    ensemble = ensemble if last is None else ensemble.newest(last)
    _print_scores(ensemble, data)
    if soup:
        found = mm.greedy_soup(ensemble, data.x_val, data.y_val, x_train=data.x_train)
        model, what = found.model, f"a greedy soup of {len(found.members)} of {len(ensemble)} members"
    else:
        model = _averaged(ensemble, coefficients, decay, data)
        what = f"the average of {len(ensemble)} members, {coefficients} coefficients"
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out)
    typer.echo(f"{out}: {what}, {model.count_params():,} parameters. Load it with keras.saving.load_model.")


def _check(out: Path, coefficients: str) -> None:
    from manyminima.averaging.coefficients import NAMES
    from manyminima.cli.train import check_out

    if coefficients not in NAMES:
        raise typer.BadParameter(f"{coefficients!r} is none of {', '.join(NAMES)}.", param_hint="--coefficients")
    if out.suffix != ".keras":
        raise typer.BadParameter(f"'{out}' does not end in .keras.", param_hint="--out")
    if out.exists():
        raise FileExistsError(f"'{out}' exists, and is not overwritten. Choose another --out, or delete it.")
    check_out(out.parent / out.stem)


def _print_scores(ensemble, data) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"On the {len(data.x_val):,} validation rows of {data.contract['source']}:\n", highlight=False)
    console.print(ensemble.average_scores(data.x_val, data.y_val, x_train=data.x_train))


def _averaged(ensemble, coefficients: str, decay: float, data):
    """Return the model; what is to be warned of is said in one line."""
    import warnings

    from rich.console import Console

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        model = ensemble.average(coefficients, decay=decay, x=data.x_train, validation_data=(data.x_val, data.y_val))
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            Console(stderr=True).print(f"[yellow]Warning: {warning.message}[/yellow]", highlight=False, soft_wrap=True)
    return model
