"""`manyminima average`: one model out of the members of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_json, check_writable, console_beside, json_option, write_json

_COEFFICIENTS = "equal, linear (the newest counts most) or exponential (each older one counts less by the same factor)."
_DECAY = "Of exponential coefficients, in members: each older one counts exp(-1/decay) of the next."
_SOUP = "Choose members greedily: best first, each kept if the average is no worse on the validation rows."
_KINDS = ("equal", "linear", "exponential")
_KEYS = "run, out, what, parameters, members (their steps), scores, soup (score, best_single)"
_DATA = "A copy of the run's own data, if they are not where they were."


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the model goes, a .keras file; never overwritten.")],
    coefficients: Annotated[str, typer.Option(help=_COEFFICIENTS, autocompletion=among(_KINDS))] = "equal",
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest so many members. Default: all.")] = None,
    decay: Annotated[float, typer.Option(help=_DECAY)] = 2.0,
    soup: Annotated[bool, typer.Option("--soup", help=_SOUP)] = False,
    data: Annotated[str | None, typer.Option(help=_DATA)] = None,
    json: Annotated[Path | None, json_option(_KEYS)] = None,
) -> None:
    """Average the members' weights into one Keras model, and show what that is worth on the validation rows.

    Statistics of BatchNormalization are taken anew from the training rows. Nothing is judged on the test rows: that is what
    [bold]manyminima evaluate[/bold] is for.

    Example: manyminima average runs/x --coefficients exponential --last 10 -o averaged.keras
    """
    check_json(json)
    _check(out, coefficients, decay, soup)
    import manyminima as mm
    from manyminima.cli import backend
    from manyminima.cli.reading import reading

    contract = mm.Snapshots(run).about["data"]
    backend.choose()  # before the data: Keras's own are loaded with Keras
    with reading() as told:
        rows = mm.datasets.run_dataset(contract, data, progress=told)
    ensemble = mm.load(run)
    ensemble = ensemble if last is None else ensemble.newest(last)
    console, found = console_beside(json), None
    scores = _scores(console, ensemble, rows, decay)
    if soup:
        found = mm.greedy_soup(ensemble, rows.x_val, rows.y_val, x_train=rows.x_train)
        model, what = found.model, _soup_in_words(found, ensemble)
    else:
        _warn(scores, coefficients, run)
        model = ensemble.average(coefficients, decay=decay, x=rows.x_train)
        what = f"the average of {len(ensemble)} member{'s' * (len(ensemble) > 1)}, {coefficients} coefficients"
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out)
    text = f"{out}: {what}; {model.count_params():,} parameters. Load it with keras.saving.load_model."
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    facts = {"run": str(run), "out": str(out), "what": what, "parameters": model.count_params()}
    write_json(facts | _facts(ensemble, scores, found), json)


def _facts(ensemble, scores, soup) -> dict[str, Any]:
    """What the members were, what they and their averages are worth, and the soup, if one was made."""
    from dataclasses import asdict

    members = ensemble.about["members"]
    chosen = members if soup is None else [members[i] for i in soup.members]
    taken = None if soup is None else {"score": soup.score, "best_single": soup.best_single}
    return {"members": [member["step"] for member in chosen], "scores": asdict(scores), "soup": taken}


def _check(out: Path, coefficients: str, decay: float, soup: bool) -> None:
    from manyminima.averaging import coefficients as kinds

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


def _scores(console, ensemble, rows, decay: float):
    """Return the scores against n on the validation rows, and show them."""
    from manyminima.averaging.scores import average_scores

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
