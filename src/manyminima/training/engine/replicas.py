"""Many runs in one compiled program: Keras's own training step, for all replicas at once.

On JAX the training step of a Keras model is a pure function of its variables. It is vectorised over replicas and looped over
batches, and nothing of `compile` is written again: losses, metrics, clipping, accumulation and mixed precision are Keras's.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from manyminima.inference.ensemble import Ensemble
from manyminima.recipes import Recipe
from manyminima.runs import tasks
from manyminima.runs.architecture import describe, summarise
from manyminima.runs.behind import Behind
from manyminima.runs.snapshots import Snapshots
from manyminima.training.engine import bar
from manyminima.training.engine import members as places
from manyminima.training.engine.fit import fit_each
from manyminima.training.engine.plan import Job, Orders, orders, whole
from manyminima.training.engine.row_weights import either, row_weights
from manyminima.training.engine.start import Impure, build, untouched_generators
from manyminima.training.record import describe_run

__all__ = ["check_function", "train", "train_replicas"]


def train(
    build_model: Callable[[], keras.Model],
    x: Any,
    y: Any,
    recipe: Recipe | Sequence[Recipe],
    *,
    epochs: int,
    batch_size: int,
    replicas: int = 1,
    seed: int = 0,
    validation_data: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    into: str | os.PathLike | Snapshots | None = None,
    execution: str = "auto",
    progress: Callable[[int, int], Any] | str | None = None,
) -> Ensemble:
    """Train several replicas of a model together and return the ensemble of all their members.

    Replica r is what `set_random_seed(seed + r)`, `build_model()` and `fit(mm.datasets.Batches(x, y, batch_size,
    seed=seed + r), shuffle=False)` give: its own first weights, order of data and dropout. On JAX all replicas are trained
    in one compiled program, which later calls for the same model use again; elsewhere `fit` is called for one after the other.

    Args:
        build_model: takes nothing and returns a compiled Keras model; called once for each replica.
        x: inputs, one array or a nested structure of arrays, each (rows, ...).
        y: labels of the same kinds; None if the model needs none.
        recipe: one of `mm.recipes`: when each replica collects a member, and at which rates it learns. Or a list, one for each
            replica, which may differ in their rates.
        epochs: of each replica.
        batch_size: rows in a batch; the last one of an epoch may be smaller.
        replicas: how many runs are trained together.
        seed: of the first replica; the others have the numbers that follow.
        validation_data: (x, y) on which members are judged when they are collected: their logs gain "val_loss" and so on.
        sample_weight: of the rows, (rows,), as in `fit`; or a mapping from class number to weight.
        class_weight: a mapping from class number to weight, as in `fit`: classes that are not named count 1. Like there, not
            beside `sample_weight`.
        into: the directory of one run that holds the members of all replicas; None keeps them in memory.
        execution: "stacked", "unrolled" (best for convolutions on a CPU), or "auto", which chooses by a static rule.
        progress: called now and then with the number of batches that are done, and of all, over all replicas; or "bar" for a
            bar on stderr that tells the time left.

    Returns:
        An ensemble with members sorted by step and replica. Its `about` has "replicas": the seed of each, and in which epoch
        it "diverged", if it did; and "history": the logs of each epoch, one number for each replica.

    Warns:
        UserWarning: replicas have diverged; or the model cannot be part of a program, and `fit` is called.

    Raises:
        ValueError: before training, if a number, the data, the model or the recipe does not fit the run.
        TypeError: the data are no arrays, or `build_model` returns no model.
        FileExistsError: before training, if the directory already holds a run.

    Example:
        ensemble = mm.train(build_model, x, y, mm.recipes.snapshot(cycles=10, peak=0.1), epochs=500, batch_size=32, replicas=30)

    Reference:
        Huang et al. 2017, Snapshot Ensembles. Lakshminarayanan et al. 2017, Deep Ensembles.
    """
    check_function(build_model)
    count, first = whole("replicas", replicas, 1), whole("seed", seed, 0)
    weights = row_weights(either(sample_weight, class_weight), y)
    return train_replicas(
        build_model,
        (x,) if y is None else (x, y) if weights is None else (x, y, weights),
        _of_each(recipe, count),
        range(first, first + count),
        epochs=epochs,
        batch_size=batch_size,
        validation_data=validation_data,
        into=into,
        execution=execution,
        progress=progress,
    )


def check_function(build_model: Any) -> None:
    """Raise TypeError unless models can be built anew, each with first weights of its own."""
    if isinstance(build_model, keras.Model) or not callable(build_model):
        raise TypeError(
            f"build_model is {build_model!r:.60}, but many models are trained from scratch: expected a function that returns a "
            f"new compiled one. Write def build_model(): … return model, and pass build_model without brackets."
        )


def train_replicas(
    build_model: Callable[[], keras.Model],
    data: tuple,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    *,
    epochs: int,
    batch_size: int,
    validation_data: Any = None,
    into: Any = None,
    execution: str = "auto",
    progress: Callable[[int, int], Any] | str | None = None,
    room: int | None = None,
) -> Ensemble:
    """Train replicas that each have a recipe and a seed; see `train`.

    Args:
        build_model: takes nothing and returns a compiled Keras model; called once for each different seed.
        data: (x, y), (x, y, sample_weight) or (x,).
        recipes: one for each replica; they may have different rates, and collect at the same steps.
        seeds: one for each replica. Replicas of the same seed start from the same weights and see the same batches.
        epochs: of each replica.
        batch_size: rows in a batch.
        validation_data: (x, y) on which members are judged when they are collected.
        into: the directory of one run that holds the members of all replicas; None keeps them in memory.
        execution: "stacked", "unrolled" or "auto".
        progress: called now and then with the number of batches that are done, and of all; or "bar".
        room: bytes of data that may stay on the device; None is a share of what it has.
    """
    job, telling = Job(data, recipes, seeds, epochs, batch_size, validation_data, execution), bar.telling(progress)
    run = places.run_of(into)
    folds = places.folds_of(recipes, run)
    with untouched_generators():
        model = build(build_model, job.seeds[0], job.first_batch)
    what = orders(job, model, folds)
    about = _describe(job, what, model, rebuilt=run is not None and run.rebuild)
    for fold in folds:
        if hasattr(fold, "begin"):
            fold.begin(about)
    together = _together(job, what, folds, model, build_model, room)
    about["engine"] = {"batch_size": batch_size, **(together.record if together else {"execution": "fit"})}
    with _writing(run, about), telling as tell:
        model, history = together.train(tell) if together else fit_each(build_model, job, what.recipes, folds, tell)
    outcome = {
        "replicas": _with_divergence(about["replicas"], history),
        "history": {name: values.tolist() for name, values in history.items()},
    }
    return Ensemble(model, places.gather(folds, run, about, outcome))


def _of_each(recipe: Recipe | Sequence[Recipe], replicas: int) -> list[Recipe]:
    """Return a recipe for each replica."""
    if not isinstance(recipe, list | tuple):
        return [recipe] * replicas  # pyright: ignore[reportReturnType]
    if len(recipe) != replicas:
        raise ValueError(
            f"got a list of {len(recipe)} recipes for replicas={replicas}: expected one for each. Write replicas={len(recipe)}."
        )
    return list(recipe)


def _describe(job: Job, what: Orders, model: keras.Model, *, rebuilt: bool) -> dict[str, Any]:
    """Return what a run records; the recipe is the first replica's, and each replica's own rates are with its seed."""
    about = describe_run(what.recipes[0], what.plans[0], model, what.due, epochs=job.epochs, steps=job.steps)
    about["tasks"] = tasks.to_json(tasks.of_model(model))
    about["model"] = describe(model) if rebuilt else summarise(model)
    pairs = enumerate(zip(job.seeds, what.recipes, strict=True))
    about["replicas"] = [{"replica": r, "seed": int(seed), "recipe": repr(recipe)} for r, (seed, recipe) in pairs]
    return about


def _together(
    job: Job, what: Orders, folds: Sequence, model: keras.Model, build_model: Callable, room: int | None
) -> Any:
    """Return the replicas in one program; None, with a warning, if the model cannot be part of one."""
    if keras.backend.backend() != "jax":
        return None
    from manyminima.training.engine.together import Together

    try:
        return Together(job, what, folds, model, build_model, room)
    except Impure as reason:
        warnings.warn(
            f"model '{model.name}' is trained with one fit after the other, not in one program: {reason}. The members are the "
            f"same; for the speed of one program use Keras's own layers, or keep all state in variables.",
            stacklevel=4,
        )
        return None


@contextlib.contextmanager
def _writing(run: Snapshots | None, about: dict[str, Any]) -> Iterator[None]:
    """Claim the run's directory, and have members written while training goes on."""
    if run is None:
        yield
        return
    run.begin(about)
    behind = Behind()
    run.write_behind(behind)
    try:
        yield
    finally:
        behind.close()


def _with_divergence(replicas: list[dict], history: Mapping[str, np.ndarray]) -> list[dict]:
    """Return what is known about the replicas, with the epoch in which a loss was no number; warn if there is one."""
    losses = history.get("loss", np.zeros((1, len(replicas))))
    bad = ~np.isfinite(losses)
    found = [
        {**known, "diverged": int(bad[:, r].argmax()) + 1} if bad[:, r].any() else known
        for r, known in enumerate(replicas)
    ]
    diverged = [known for known in found if "diverged" in known]
    if diverged:
        named = ", ".join(f"{d['replica']} (seed {d['seed']}, epoch {d['diverged']})" for d in diverged[:8])
        warnings.warn(
            f"the loss of {len(diverged)} of {len(replicas)} replicas became NaN or infinite: replica {named}. Their members are "
            f"part of the ensemble and predict NaN: train with a lower rate, or leave them out with ensemble.part([…]), the "
            f'places of the others in ensemble.about["members"].',
            stacklevel=4,
        )
    return found
