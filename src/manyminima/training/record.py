"""What a run writes down about itself before training."""

import dataclasses
from importlib import metadata
from typing import Any

import keras
import numpy as np

from manyminima.recipes import Plan
from manyminima.runs.architecture import variables
from manyminima.training.rate import innermost, rate_at

__all__ = ["describe_run", "versions"]

_CURVE_POINTS = 400


def describe_run(
    recipe: Any, plan: Plan, model: keras.Model, due: list[int], *, epochs: int, steps: int
) -> dict[str, Any]:
    """Return the body of `run.json`, but for the model's architecture, which is costly and not every fold's business."""
    return {
        "recipe": _recipe(recipe),
        "epochs": epochs,
        "steps_per_epoch": steps,
        "collect": due,
        "lr_curve": _curve(plan, due, epochs * steps),
        "optimizer": _optimizer(model.optimizer),
        "variables": variables(model),
        "versions": versions(),
    }


def _recipe(recipe: Any) -> dict[str, Any]:
    fields = dataclasses.fields(recipe) if dataclasses.is_dataclass(recipe) else ()
    values = {field.name: getattr(recipe, field.name) for field in fields}
    plain = {k: v if v is None or isinstance(v, str | int | float | np.generic) else repr(v) for k, v in values.items()}
    return {"name": type(recipe).__name__, **plain}


def _curve(plan: Plan, due: list[int], total: int) -> dict[str, list] | None:
    """Sample the executed schedule evenly and on both sides of every collection, so that plots show its corners."""
    if plan.lr is None:
        return None
    corners = [t for n in due for t in (n - 1, n) if t < total]
    steps = np.unique([*np.linspace(0, total - 1, _CURVE_POINTS).astype(int), *corners])
    return {"steps": steps.tolist(), "rates": [rate_at(plan.lr, t) for t in steps.tolist()]}


def _optimizer(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    optimizer = innermost(optimizer)
    config = {k: v for k, v in optimizer.get_config().items() if isinstance(v, int | float | str | bool)}
    return {"class": type(optimizer).__name__, **config}


def versions() -> dict[str, str]:
    """Return the versions of Keras and of its backend, and which that is."""
    backend = keras.backend.backend()
    found = {"keras": keras.__version__, "backend": backend}
    try:
        found[backend] = metadata.version(backend)
    except metadata.PackageNotFoundError:  # tensorflow-cpu and other builds go by other names
        found[backend] = "unknown"
    return found
