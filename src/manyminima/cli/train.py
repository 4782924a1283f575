"""`manyminima train`: one training run, many members on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manyminima import recipes
from manyminima.cli.compiling import DATA, MODEL, OPTIMIZER, check_optimizer, compile_for
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_writable
from manyminima.cli.recipe_options import make_recipe, with_recipe_options

if TYPE_CHECKING:
    from manyminima.datasets import Dataset


@plain_errors
@with_recipe_options
def command(
    data: Annotated[str, typer.Option(help=DATA)],
    model: Annotated[str, typer.Option(help=MODEL)],
    recipe: Annotated[str, typer.Option(help=f"When to collect members: {', '.join(recipes.__all__)}.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")],
    out: Annotated[Path, typer.Option(help="Directory of the run; never overwritten.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a training step.")] = 32,
    optimizer: Annotated[str, typer.Option(help=OPTIMIZER)] = "sgd",
    rate: Annotated[float | None, typer.Option(help="The optimizer's learning rate; default: Keras's.")] = None,
    best: Annotated[str | None, typer.Option(help="Also keep the best single model by this log, as val_loss.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and of the order of the rows.")] = 0,
    split_seed: Annotated[int, typer.Option(min=0, help="Of the split into training, validation and test.")] = 0,
    task: Annotated[str, typer.Option(help="multiclass or regression.")] = "multiclass",
    **recipe_options: Any,
) -> None:
    """Train a model once and keep the members that the recipe collects.

    Nothing is evaluated on the test rows: that is what [bold]manyminima evaluate[/bold] is for.
    """
    chosen = make_recipe(recipe, recipe_options)
    check_optimizer(optimizer)
    check_out(out)
    from manyminima import datasets
    from manyminima.cli import backend

    dataset = datasets.load(data, task=task, seed=split_seed)
    backend.choose()
    import keras

    from manyminima import zoo

    keras.utils.set_random_seed(seed)
    network = zoo.build(model, dataset)
    compile_for(network, dataset, optimizer, rate)
    _fit(network, dataset, chosen, out, epochs=epochs, batch_size=batch_size, seed=seed, best=best)


def check_out(out: Path) -> None:
    """Raise an OSError if nothing can be written there, or if a run is there already, before any work is done."""
    if (out / "run.json").exists():
        raise FileExistsError(
            f"'{out}' already holds a run, which is never overwritten. Choose another --out, or delete it."
        )
    check_writable(out)


def _fit(network, dataset: "Dataset", recipe, out: Path, *, epochs: int, batch_size: int, seed: int, best: str | None):
    from rich.console import Console

    import manyminima as mm
    from manyminima.cli.progress import Progress

    console = Console()
    rows = ", ".join(f"{n:,} {part}" for part, n in dataset.contract["rows"].items())
    console.print(
        f"{dataset.contract['source']}: {rows} rows · {network.name}: {network.count_params():,} parameters",
        soft_wrap=True,
    )
    console.print(
        f"{recipe} · {epochs} epochs of {-(-len(dataset.x_train) // batch_size)} steps", highlight=False, soft_wrap=True
    )
    with Progress(console, epochs) as progress:
        run = mm.Snapshots(out, data=dataset.contract)
        network.fit(
            mm.datasets.Batches(dataset.x_train, dataset.y_train, batch_size, seed=seed),
            validation_data=(dataset.x_val, dataset.y_val),
            epochs=epochs,
            shuffle=False,  # the order is that of Batches
            verbose=0,
            callbacks=[mm.Collect(recipe, into=[run, progress], best=best), progress.callback],
        )
    console.print(f"The run is in {out}. Next: [bold]manyminima evaluate {out}[/bold]", highlight=False, soft_wrap=True)
