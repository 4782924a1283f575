"""`manyminima plot`: pictures of learning rates, before a run and of one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima import recipes
from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_file, check_json, console_beside, json_option, write_json
from manyminima.cli.recipe_docs import fields
from manyminima.cli.recipe_options import make_recipe, with_recipe_options

app = typer.Typer(help="Draw a learning rate: what a recipe would do, or what a run has done.", no_args_is_help=True)

_OUT = "The picture; its suffix says of which kind: .png, .svg, .pdf, ..."
_RECIPE = f"One that has a learning rate of its own: {', '.join(n for n in recipes.__all__ if 'peak' in fields(n))}."
_KEYS = "out, steps, rates, collected"
_POINTS = 2000


@app.command("schedule")
@plain_errors
@with_recipe_options
def schedule(
    recipe: Annotated[str, typer.Option(help=_RECIPE, autocompletion=among(recipes.__all__))],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")],
    out: Annotated[Path, typer.Option("--out", "-o", help=_OUT)],
    steps_per_epoch: Annotated[int, typer.Option(min=1, help="Batches in an epoch.")] = 100,
    json: Annotated[Path | None, json_option(_KEYS)] = None,
    **recipe_options: Any,
) -> None:
    """Draw the learning rate of a recipe, with a dot where each member would be collected.

    Example: manyminima plot schedule --recipe snapshot --cycles 5 --peak 0.1 --epochs 100 -o lr.png
    """
    _check(out, json)
    chosen = make_recipe(recipe, recipe_options)
    if "peak" not in fields(recipe):
        raise ValueError(f"the recipe {recipe} leaves the learning rate alone, so there is nothing to draw. {_RECIPE}")
    if chosen.peak is None:
        raise typer.BadParameter("a picture needs the highest rate, for example --peak 0.1.", param_hint="--peak")
    from manyminima.cli import backend

    backend.choose()
    import numpy as np

    plan, total = chosen.plan(epochs, steps_per_epoch), epochs * steps_per_epoch
    collected = [step for step in range(1, total + 1) if plan.when(step)]
    corners = [step for due in collected for step in (due - 1, due) if step < total]
    steps = np.unique([*np.linspace(0, total - 1, min(total, _POINTS)).astype(int), *corners])
    _draw(steps, plan.lr(steps), collected, out, json)


@app.command("run")
@plain_errors
def run(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help=_OUT)],
    json: Annotated[Path | None, json_option(_KEYS)] = None,
) -> None:
    """Draw the learning rate that a run followed, with a dot for each of its members.

    Example: manyminima plot run runs/x -o lr.png
    """
    _check(out, json)
    from manyminima.runs.snapshots import Snapshots

    about = Snapshots(run).about
    curve = about.get("lr_curve")
    if not curve or not curve["steps"]:
        name = (about.get("recipe") or {}).get("name", "a recipe of its own")
        raise ValueError(
            f"'{run}' was trained with {name}, which leaves the optimizer's learning rate alone: there is nothing to draw."
        )
    _draw(curve["steps"], curve["rates"], [member["step"] for member in about["members"]], out, json)


def _check(out: Path, json: Path | None) -> None:
    """Raise an error, before any work, if no picture of this kind can be written there."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = sorted(FigureCanvasBase.filetypes)
    if out.suffix.removeprefix(".").lower() not in kinds:
        expected = f"Expected one of .{', .'.join(kinds)}: write {out.with_suffix('.png')}."
        raise ValueError(f"'{out}' ends in {out.suffix!r}, which is no kind of picture. {expected}")
    check_file(out, "--out", "lr.png")
    check_json(json)


def _draw(steps: Any, rates: Any, collected: list[int], out: Path, json: Path | None) -> None:
    from manyminima.plots import learning_rate

    figure: Any = learning_rate(steps, rates, collected).figure
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
    lowest, highest = min(rates), max(rates)
    words = f"{len(collected)} member{'' if len(collected) == 1 else 's'}, rates from {lowest:.4g} to {highest:.4g}"
    console_beside(json).print(f"{out}: {words}.", highlight=False, markup=False, soft_wrap=True)
    write_json({"out": str(out), "steps": steps, "rates": rates, "collected": collected}, json)
