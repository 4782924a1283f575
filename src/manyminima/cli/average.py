"""`manyminima average`: one model out of the members of a run."""

from pathlib import Path
from typing import Annotated

import typer

from manyminima.cli.errors import plain_errors

_COEFFICIENTS = "equal, linear (the newest counts most) or exponential (each older one counts less by the same factor)."
_DECAY = "Of exponential coefficients, in members: each older one counts exp(-1/decay) of the next."
_SOUP = "Choose members greedily: best first, each kept if the average is no worse on the validation rows."
_DATA = "A copy of the run's own data, if they are not where they were."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the model goes, a .keras file; never overwritten.")],
    coefficients: Annotated[str, typer.Option(help=_COEFFICIENTS)] = "equal",
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest so many members. Default: all.")] = None,
    decay: Annotated[float, typer.Option(help=_DECAY)] = 2.0,
    soup: Annotated[bool, typer.Option("--soup", help=_SOUP)] = False,
    data: Annotated[str | None, typer.Option(help=_DATA)] = None,
) -> None:
    """Average the members' weights into one Keras model, and show what that is worth on the validation rows.

    Statistics of BatchNormalization are taken anew from the training rows. Nothing is judged on the test rows: that is what
    [bold]manyminima evaluate[/bold] is for.

    Example: manyminima average runs/x --coefficients exponential --last 10 -o averaged.keras
    """
    _check(out, coefficients, decay, soup)
    import manyminima as mm
    from manyminima.cli import backend

    rows = mm.datasets.run_dataset(mm.Snapshots(run).about["data"], data)
    backend.choose()
    ensemble = mm.load(run)
    ensemble = ensemble if last is None else ensemble.newest(last)
    scores = _scores(ensemble, rows, decay)
    if soup:
        found = mm.greedy_soup(ensemble, rows.x_val, rows.y_val, x_train=rows.x_train)
        model, what = found.model, _soup_in_words(found, ensemble)
    else:
        _warn(scores, coefficients, run)
        model = ensemble.average(coefficients, decay=decay, x=rows.x_train)
        what = f"the average of {len(ensemble)} member{'s' * (len(ensemble) > 1)}, {coefficients} coefficients"
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out)
    typer.echo(f"{out}: {what}; {model.count_params():,} parameters. Load it with keras.saving.load_model.")


def _check(out: Path, coefficients: str, decay: float, soup: bool) -> None:
    from manyminima.averaging import coefficients as kinds
    from manyminima.cli.output import check_writable

    if coefficients not in kinds.NAMES:
        raise typer.BadParameter(f"{coefficients!r} is none of {', '.join(kinds.NAMES)}.", param_hint="--coefficients")
    kinds.coefficients(coefficients, 1, decay)
    if soup and coefficients != "equal":
        raise typer.BadParameter(
            "a soup has equal coefficients. Leave one of the two out.", param_hint="--coefficients"
        )
    if out.suffix != ".keras":
        raise typer.BadParameter(f"'{out}' does not end in .keras.", param_hint="--out")
    if out.exists():
        raise FileExistsError(f"'{out}' exists, and is not overwritten. Choose another --out, or delete it.")
    check_writable(out.parent)


def _scores(ensemble, rows, decay: float):
    """Return the scores against n on the validation rows, and show them."""
    from rich.console import Console

    from manyminima.averaging.scores import average_scores

    console = Console()
    console.print(f"On the {len(rows.x_val):,} validation rows of {rows.contract['source']}:\n", highlight=False)
    scores = average_scores(ensemble, rows.x_val, rows.y_val, x_train=rows.x_train, decay=decay)
    console.print(scores)
    console.print()
    return scores


def _warn(scores, coefficients: str, run: Path) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from manyminima.reporting import averages

    if found := averages.barrier(asdict(scores), coefficients):
        text = f"Warning: {found} Average their predictions instead: manyminima evaluate {run}"
        Console(stderr=True).print(Text(text, style="yellow"), soft_wrap=True)


def _soup_in_words(found, ensemble) -> str:
    from manyminima.reporting import words

    metric = "squared_error" if ensemble.about["task"] == "regression" else "accuracy"
    steps = ", ".join(str(ensemble.about["members"][i]["step"]) for i in found.members)
    scores = f"{words.score(metric, found.score)} against {words.amount(metric, found.best_single)}"
    return (
        f"a greedy soup of {len(found.members)} of {len(ensemble)} members (steps {steps}), {words.facts(metric).label} "
        f"{scores} of the best member on the rows it was chosen by"
    )
