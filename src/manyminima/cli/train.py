"""`manyminima train`: one training run, many members on disk."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manyminima import recipes
from manyminima.cli import experiment as experiments
from manyminima.cli import regime as regimes
from manyminima.cli.compiling import DATA, DATA_NAMES, DROP, MODEL, MODELS, OPTIMIZER, OPTIMIZERS, TARGET, TASK
from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_json, console_beside, json_option, write_json
from manyminima.cli.recipe_options import make_recipe, with_recipe_options
from manyminima.cli.resuming import RESUME, check_out, greeting

if TYPE_CHECKING:
    from rich.console import Console

    from manyminima.datasets import Batches, Dataset

_EXPERIMENT = (
    "A TOML file with these options as keys, those of the recipe in a table \\[recipe]; options typed here come first."
)
_RECIPE = f"When to collect members: {', '.join(recipes.__all__)}; manyminima recipes tells of each."
_OPTIMIZER = f"{OPTIMIZER} Default: its paper's; else sgd."
_OUT = "Directory of the run; never overwritten. Default: runs/DATA-MODEL-RECIPE."
_KEYS = "what manyminima show has, without repeat and problems"


def _from_file(ctx: typer.Context, experiment: Path | None) -> Path | None:
    """Take what the options have where they are not typed out of a file."""
    if experiment is not None:
        ctx.default_map = experiments.read(experiment, inspect.signature(command))
    return experiment


@plain_errors
@with_recipe_options
def command(
    ctx: typer.Context,
    data: Annotated[str, typer.Option(help=DATA, autocompletion=among(DATA_NAMES))],
    model: Annotated[str, typer.Option(help=MODEL, autocompletion=among(MODELS))],
    recipe: Annotated[str, typer.Option(help=_RECIPE, autocompletion=among(recipes.__all__))],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")],
    experiment: Annotated[Path | None, typer.Argument(help=_EXPERIMENT, callback=_from_file, is_eager=True)] = None,
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME)] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help=regimes.BATCH_SIZE)] = None,
    optimizer: Annotated[str | None, typer.Option(help=_OPTIMIZER, autocompletion=among(OPTIMIZERS))] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="The optimizer's learning rate; default: Keras's.")] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help=regimes.DECAY)] = None,
    augment: Annotated[str | None, typer.Option(help=regimes.AUGMENT)] = None,
    cutout: Annotated[int, typer.Option(min=0, help=regimes.CUTOUT)] = 0,
    label_smoothing: Annotated[float, typer.Option(min=0, max=0.99, help=regimes.SMOOTHING)] = 0.0,
    precision: Annotated[str, typer.Option(help=regimes.PRECISION)] = "float32",
    limit: Annotated[int | None, typer.Option(min=1, help=regimes.LIMIT)] = None,
    best: Annotated[str | None, typer.Option(help="Also keep the best single model by this log, as val_loss.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of the first weights and of the order of the rows.")
    ] = 0,
    split_seed: Annotated[int, typer.Option(min=0, help="Of the split into training, validation and test.")] = 0,
    task: Annotated[str | None, typer.Option(help=TASK)] = None,
    target: Annotated[str | None, typer.Option(help=TARGET)] = None,
    drop: Annotated[list[str] | None, typer.Option(help=DROP)] = None,
    json: Annotated[Path | None, json_option(_KEYS)] = None,
    **recipe_options: Any,
) -> None:
    """Train a model once and keep the members that the recipe collects.

    Nothing is evaluated on the test rows: that is what [bold]manyminima evaluate[/bold] is for.

    Example: manyminima train --data digits --model mlp --recipe snapshot --cycles 5 --peak 0.1 --epochs 60 --out runs/x
    """
    chosen = make_recipe(recipe, experiments.without_overruled(ctx, recipe_options))
    regime = regimes.regime_for(
        model,
        batch_size=batch_size,
        optimizer=optimizer,
        weight_decay=weight_decay,
        augment=augment,
        cutout=cutout,
        label_smoothing=label_smoothing,
    )
    regimes.check_precision(precision)
    check_json(json)
    out = out or Path("runs") / "-".join(Path(part.partition(":")[0]).stem for part in (data, model, recipe))
    found, console = check_out(out, resume), console_beside(json)
    if found is not None:
        console.print(greeting(out, found), highlight=False, markup=False, soft_wrap=True)
    from manyminima import datasets
    from manyminima.cli import backend
    from manyminima.cli.reading import reading

    backend.choose()  # before the data: Keras's own are loaded with Keras
    with reading() as told:
        dataset = datasets.load(
            data, target=target, drop=drop or (), task=task, seed=split_seed, limit=limit, progress=told
        )
    import keras

    import manyminima as mm
    from manyminima.runs.tensorflow import tensorflow_not_imported

    with tensorflow_not_imported():
        keras.utils.set_random_seed(seed)
    network = regimes.build_in(precision, model, dataset)
    regimes.compile_in(network, dataset, regime, rate)
    training = {"training": {**regime.record, "options": experiments.asked_for(ctx, command)}}
    run = mm.Snapshots(out, data=dataset.contract | training)
    batches = regimes.batches_in(dataset, regime, seed)
    _say_what(console, network, dataset, f"{chosen} · {epochs} epochs of {len(batches)} steps · {regime}")
    collect = partial(mm.Collect, chosen, best=best, resume=True)
    _fit(console, network, batches, regimes.validation_in(dataset, regime), epochs, lambda told: collect([run, told]))
    console.print(f"The run is in {out}. Next: [bold]manyminima evaluate {out}[/bold]", highlight=False, soft_wrap=True)
    if json is not None:
        write_json(mm.Snapshots(out).about, json)


def _say_what(console: "Console", network, dataset: "Dataset", how: str) -> None:
    from manyminima.cli.columns import shown_columns

    rows = ", ".join(f"{n:,} {part}" for part, n in dataset.contract["rows"].items())
    console.print(
        f"{dataset.contract['source']}: {rows} rows · {network.name}: {network.count_params():,} parameters",
        soft_wrap=True,
    )
    console.print(how, highlight=False, soft_wrap=True)
    if "table" in dataset.contract:
        console.print(shown_columns(dataset.contract))


def _fit(
    console: "Console", network, batches: "Batches", validation, epochs: int, collect: Callable[[Any], Any]
) -> None:
    """Train, and show how far that is; `collect` makes the callback that tells of members, too."""
    from manyminima.cli.progress import Progress

    with Progress(console, epochs) as progress:
        network.fit(
            batches,
            validation_data=validation,
            epochs=epochs,
            shuffle=False,  # the order is that of Batches
            verbose=0,
            callbacks=[collect(progress), progress.callback],
        )
