"""`manyminima train`: one training run, many members on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manyminima import recipes
from manyminima.cli import regime as regimes
from manyminima.cli.compiling import DATA, DROP, MODEL, OPTIMIZER, TARGET, TASK
from manyminima.cli.errors import plain_errors
from manyminima.cli.recipe_options import make_recipe, with_recipe_options
from manyminima.cli.resuming import RESUME, check_out, greeting

if TYPE_CHECKING:
    from manyminima.cli.regime import Regime
    from manyminima.datasets import Dataset

_OUT = "Directory of the run; never overwritten. Default: runs/DATA-MODEL-RECIPE."


@plain_errors
@with_recipe_options
def command(
    data: Annotated[str, typer.Option(help=DATA)],
    model: Annotated[str, typer.Option(help=MODEL)],
    recipe: Annotated[str, typer.Option(help=f"When to collect members: {', '.join(recipes.__all__)}.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")],
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME)] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help=regimes.BATCH_SIZE)] = None,
    optimizer: Annotated[str | None, typer.Option(help=f"{OPTIMIZER} Default: its paper's; else sgd.")] = None,
    rate: Annotated[float | None, typer.Option(help="The optimizer's learning rate; default: Keras's.")] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help=regimes.DECAY)] = None,
    augment: Annotated[str | None, typer.Option(help=regimes.AUGMENT)] = None,
    cutout: Annotated[int, typer.Option(min=0, help=regimes.CUTOUT)] = 0,
    label_smoothing: Annotated[float, typer.Option(min=0, max=0.99, help=regimes.SMOOTHING)] = 0.0,
    precision: Annotated[str, typer.Option(help=regimes.PRECISION)] = "float32",
    limit: Annotated[int | None, typer.Option(min=1, help=regimes.LIMIT)] = None,
    best: Annotated[str | None, typer.Option(help="Also keep the best single model by this log, as val_loss.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and of the order of the rows.")] = 0,
    split_seed: Annotated[int, typer.Option(min=0, help="Of the split into training, validation and test.")] = 0,
    task: Annotated[str | None, typer.Option(help=TASK)] = None,
    target: Annotated[str | None, typer.Option(help=TARGET)] = None,
    drop: Annotated[list[str] | None, typer.Option(help=DROP)] = None,
    **recipe_options: Any,
) -> None:
    """Train a model once and keep the members that the recipe collects.

    Nothing is evaluated on the test rows: that is what [bold]manyminima evaluate[/bold] is for.
    """
    chosen = make_recipe(recipe, recipe_options)
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
    out = out or Path("runs") / "-".join(Path(part.partition(":")[0]).stem for part in (data, model, recipe))
    found = check_out(out, resume)
    if found is not None:
        print(greeting(out, found))
    from manyminima import datasets
    from manyminima.cli import backend

    backend.choose()  # before the data: Keras's own are loaded with Keras
    dataset = datasets.load(data, target=target, drop=drop or (), task=task, seed=split_seed, limit=limit)
    import keras

    keras.utils.set_random_seed(seed)
    network = regimes.build_in(precision, model, dataset)
    regimes.compile_in(network, dataset, regime, rate)
    _fit(network, dataset, chosen, out, epochs=epochs, regime=regime, seed=seed, best=best)


def _fit(network, dataset: "Dataset", recipe, out: Path, *, epochs: int, regime: "Regime", seed: int, best: str | None):
    from rich.console import Console

    import manyminima as mm
    from manyminima.cli.columns import shown_columns
    from manyminima.cli.progress import Progress

    console = Console()
    rows = ", ".join(f"{n:,} {part}" for part, n in dataset.contract["rows"].items())
    console.print(
        f"{dataset.contract['source']}: {rows} rows · {network.name}: {network.count_params():,} parameters",
        soft_wrap=True,
    )
    batches = regimes.batches_in(dataset, regime, seed)
    console.print(f"{recipe} · {epochs} epochs of {len(batches)} steps · {regime}", highlight=False, soft_wrap=True)
    if "table" in dataset.contract:
        console.print(shown_columns(dataset.contract))
    with Progress(console, epochs) as progress:
        run = mm.Snapshots(out, data=dataset.contract | {"training": regime.record})
        network.fit(
            batches,
            validation_data=regimes.validation_in(dataset, regime),
            epochs=epochs,
            shuffle=False,  # the order is that of Batches
            verbose=0,
            callbacks=[mm.Collect(recipe, into=[run, progress], best=best, resume=True), progress.callback],
        )
    console.print(f"The run is in {out}. Next: [bold]manyminima evaluate {out}[/bold]", highlight=False, soft_wrap=True)
