"""`manyminima study`: which recipe helps on this data and model, at equal budget."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from manyminima.cli.compiling import (
    DATA,
    DATA_NAMES,
    DROP,
    MODEL,
    MODELS,
    OPTIMIZER,
    OPTIMIZERS,
    TARGET,
    TASK,
    check_optimizer,
    compile_for,
)
from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import HTML, check_file, check_json, check_writable, console_beside, json_option, show

if TYPE_CHECKING:
    from rich.console import Console

    from manyminima.comparison.answer import Study

_RECIPES = (
    "What to compare, separated by commas, options behind a colon: snapshot:cycles=5,swa,ema:decay=0.99. One cosine run, a "
    "constant rate and a deep ensemble at the same budget are always there."
)
_PEAKS = "Learning rates to choose from, on validation rows; by default three, those of the optimizer."
_OUT = (
    "Keeps what is done, the page and the numbers; the same command again goes on where it stopped. "
    "Default: runs/study-DATA-MODEL."
)
_KEYS = "headline, winner, rows, sentences, notes, metric, about"
_DEFAULT = "snapshot:cycles=5,swa,ema:decay=0.99,deep-ensemble:members=5"


@plain_errors
def command(
    data: Annotated[str, typer.Option(help=DATA, autocompletion=among(DATA_NAMES))],
    model: Annotated[str, typer.Option(help=MODEL, autocompletion=among(MODELS))],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows: the budget of every method.")],
    recipes: Annotated[str, typer.Option(help=_RECIPES)] = _DEFAULT,
    seeds: Annotated[int, typer.Option(min=2, help="Runs of every method.")] = 20,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a training step.")] = 32,
    optimizer: Annotated[str, typer.Option(help=OPTIMIZER, autocompletion=among(OPTIMIZERS))] = "sgd",
    peaks: Annotated[str | None, typer.Option(help=_PEAKS)] = None,
    split_seed: Annotated[int, typer.Option(min=0, help="Of the split into training, validation and test.")] = 0,
    task: Annotated[str | None, typer.Option(help=TASK)] = None,
    target: Annotated[str | None, typer.Option(help=TARGET)] = None,
    drop: Annotated[list[str] | None, typer.Option(help=DROP)] = None,
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    html: Annotated[Path | None, typer.Option(help=f"{HTML} Default: OUT/study.html.")] = None,
    json: Annotated[Path | None, json_option(_KEYS, "OUT/report.json")] = None,
) -> None:
    """Answer whether collecting many models helps here, with intervals over many seeds.

    Example: manyminima study --data mnist1d --model cnn1d --epochs 60 --recipes snapshot:cycles=5,swa --seeds 20
    """
    check_optimizer(optimizer)
    rates = None if peaks is None else numbers(peaks)
    from manyminima import datasets
    from manyminima.cli import backend
    from manyminima.cli.reading import reading
    from manyminima.cli.study_next import command_of
    from manyminima.comparison.asked import peaks_asked
    from manyminima.comparison.methods import methods_of

    peaks_asked(rates)
    chosen = separated(recipes)
    methods_of(chosen, epochs)
    out = out or Path("runs") / "-".join(["study", *(Path(part.partition(":")[0]).stem for part in (data, model))])
    check_writable(out)
    check_files_of(html, json)
    backend.choose()  # before the data: Keras's own are loaded with Keras
    with reading() as told:
        dataset = datasets.load(data, target=target, drop=drop or (), task=task, seed=split_seed, progress=told)
    import manyminima as mm
    from manyminima.zoo.building import build, build_again

    build(model, dataset)  # the first is tried, before many are built

    def build_model():
        network = build_again(model, dataset)
        compile_for(network, dataset, optimizer, None)
        return network

    study = _watched(
        out,
        lambda progress: mm.study(
            build_model,
            dataset,
            chosen,
            epochs=epochs,
            seeds=seeds,
            batch_size=batch_size,
            peaks=rates,
            into=out,
            progress=progress,
        ),
    )
    show(study, "", html=html or out / "study.html", json=json or out / "report.json")
    asked = {"data": data, "model": model, "task": task, "target": target, "drop": drop or ()}
    how = {"split_seed": split_seed or None, "batch_size": batch_size, "optimizer": optimizer}
    console_beside(json).print(
        f"Next: {command_of(study.winner, asked | how)}", highlight=False, soft_wrap=True, markup=False
    )


def check_files_of(html: Path | None, json: Path | None) -> None:
    """Raise an OSError, before any work, if a file that was asked for cannot be written."""
    if html is not None:
        check_file(html, "--html", "study.html")
    check_json(json)


def separated(text: str) -> list[str]:
    """Split recipes at the commas between them, not at those between their options.

    >>> separated("swa,snapshot:cycles=5,floor=0.01,fge:cycles=3")
    ['swa', 'snapshot:cycles=5,floor=0.01', 'fge:cycles=3']
    """
    found: list[str] = []
    for part in text.split(","):
        goes_on = found and "=" in part and ":" not in part
        found[-1:] = [f"{found[-1]},{part}"] if goes_on else [*found[-1:], part.strip()]
    return [part for part in found if part]


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers that are separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers with commas between, got {text!r}.", param_hint="--peaks") from None


def _watched(out: Path, make: Callable[[Callable[[str, float], None]], "Study"]) -> "Study":
    """Make the study under a progress bar that tells the time left; say what is kept as it begins and if it is interrupted."""
    from rich.console import Console

    from manyminima.cli import interrupting
    from manyminima.comparison.store import parts_in
    from manyminima.training.engine.bar import bar

    console, kept = Console(stderr=True), [parts_in(out)]
    with bar(console) as shown:
        task = shown.add_task("compiling", total=1.0)

        def tell(name: str, share: float) -> None:
            interrupting.check()
            if kept and (before := kept.pop()):
                _say(console, f"Going on: {out} holds {before} finished parts of this study.")
            shown.update(task, description=name, completed=share)

        try:
            return make(tell)
        except KeyboardInterrupt:
            _say(
                console,
                f"{parts_in(out)} parts of the study are finished, in {out}: the same command goes on from there.",
            )
            raise


def _say(console: "Console", line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
