"""What the engine is asked to train, checked before any expensive work."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
import numpy as np

from manyminima.inference import inputs
from manyminima.parameters import is_whole
from manyminima.recipes import Plan
from manyminima.training import averages, rate, validate

__all__ = ["Job", "Orders", "orders", "whole"]

_EXECUTIONS = ("auto", "stacked", "unrolled")


@dataclass(frozen=True)
class Job:
    """Replicas that are to be trained together; see `engine.train_replicas` for what each entry means.

    Raises:
        ValueError: a number is out of range, or data and numbers do not fit together.
        TypeError: the data are no arrays, or something is no recipe.
    """

    data: tuple
    recipes: Sequence[Any]
    seeds: Sequence[int]
    epochs: int
    batch_size: int
    validation_data: Any
    execution: str

    def __post_init__(self):
        whole("epochs", self.epochs, 1)
        whole("batch_size", self.batch_size, 1)
        object.__setattr__(self, "seeds", [whole("seed", seed, 0) for seed in self.seeds])
        if max(self.seeds, default=0) >= 2**32:
            raise ValueError(f"seed={max(self.seeds)} is too large: Keras takes seeds below 2**32, such as seed=0.")
        _check_recipes(self.recipes, self.seeds)
        _check_execution(self.execution)
        if inputs.is_dataset(self.data[0]):
            raise TypeError(
                f"x is a {type(self.data[0]).__name__}, which yields batches in an order of its own: expected arrays, from which "
                f"each replica takes batches in its own order. Pass x and y as NumPy arrays."
            )
        object.__setattr__(self, "data", keras.tree.map_structure(_array, self.data))
        if not self.rows:
            raise ValueError("the arrays have no rows. Expected at least one: check what was selected.")
        if self.rows < self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} is larger than the data, which have {self.rows} rows. Write "
                f"batch_size={self.rows} for one batch of all, or a smaller one."
            )
        if self.validation_data is not None:
            validate.check(self.validation_data)

    @property
    def rows(self) -> int:
        """Rows of the data."""
        return inputs.rows(self.data)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-self.rows // self.batch_size)

    @property
    def total(self) -> int:
        """Batches of a replica's run."""
        return self.epochs * self.steps

    @property
    def first_batch(self) -> tuple:
        """Rows to build models with."""
        return keras.tree.map_structure(lambda array: array[: self.batch_size], self.data)


class Orders(NamedTuple):
    """For each replica its recipe, with the peak that it means, and the recipe's plan; for all the steps to collect after."""

    recipes: list[Any]
    plans: list[Plan]
    due: list[int]

    @property
    def driven(self) -> bool:
        """Whether the recipes set the learning rate."""
        return self.plans[0].lr is not None


def orders(job: Job, model: keras.Model, folds: Sequence[Any]) -> Orders:
    """Return what the recipes mean for this run.

    Raises:
        ValueError: a recipe does not fit the run or the optimizer, or recipes collect at different steps.
    """
    recipes = [rate.with_peak(recipe, model.optimizer) for recipe in job.recipes]
    plans, due = [], []
    for r, recipe in enumerate(recipes):
        same = next((i for i in range(r) if recipes[i] == recipe), None)
        plan = recipe.plan(job.epochs, job.steps) if same is None else plans[same]
        plans.append(plan)
        due.append([n for n in range(1, job.total + 1) if plan.when(n)] if same is None else due[same])
        if plan.lr is not None and same is None:
            rate.check_alone(SimpleNamespace(recipe=recipe), model.optimizer, ())
    other = next(
        (r for r in range(len(due)) if due[r] != due[0] or (plans[r].lr is None) != (plans[0].lr is None)), None
    )
    if other is not None:
        raise ValueError(
            f"{recipes[0]} and {recipes[other]} collect at different steps, or only one sets the rate, and replicas share one "
            f"program. Give all replicas recipes that differ in their rates only, or train them one after the other."
        )
    if not due[0]:
        raise ValueError(f"{recipes[0]} collects nothing in this run. Ask for at least one member.")
    averages.check_times(folds[:1], job.total, due[0][0], rate.innermost(model.optimizer))
    return Orders(recipes, plans, due[0])


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number; ValueError if it is none, or below `least`."""
    if not is_whole(value, least):
        raise ValueError(
            f"{name}={value!r}: expected a whole number of at least {least}, such as {name}={max(least, 8)}."
        )
    return int(value)


def _check_recipes(recipes: Sequence[Any], seeds: Sequence[int]) -> None:
    for recipe in recipes:
        if not hasattr(recipe, "plan") or isinstance(recipe, type):
            raise TypeError(f"expected a recipe, such as mm.recipes.snapshot(cycles=5, peak=0.1), got {recipe!r}.")
    if len(recipes) != len(seeds) or not recipes:
        raise ValueError(
            f"got {len(recipes)} recipes and {len(seeds)} seeds. Expected one of each for every replica, at least one."
        )
    for r, pair in enumerate(zip(recipes, seeds, strict=True)):
        if pair in list(zip(recipes, seeds, strict=True))[:r]:
            raise ValueError(f"two replicas have the recipe {pair[0]} and the seed {pair[1]}: they would be copies.")


def _check_execution(execution: str) -> None:
    backend = keras.backend.backend()
    if execution not in _EXECUTIONS or (execution != "auto" and backend != "jax"):
        needs = "" if backend == "jax" else f' ("stacked" and "unrolled" need JAX, and this is {backend})'
        raise ValueError(f'execution="{execution}" is not available: choose "auto", "stacked" or "unrolled"{needs}.')


def _array(leaf: Any) -> np.ndarray:
    """Return an array of numbers, double precision as Keras's own, which is what `fit` makes of it."""
    array = np.asarray(leaf.detach().cpu() if hasattr(leaf, "detach") else leaf)
    if array.dtype.kind not in "biufc" and array.dtype.name != "bfloat16":
        raise TypeError(
            f"the data hold {array.dtype} values, such as {array.flat[0]!r:.50}, where numbers were expected. Write "
            f'x.astype("float32"); encode texts first.'
        )
    return array.astype(keras.config.floatx()) if array.dtype == np.float64 else array
