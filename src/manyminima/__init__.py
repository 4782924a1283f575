"""manyminima: train once, get an ensemble.

Keras takes seconds to import, so nothing here imports it: every public name is fetched from its module when it is first
used (PEP 562). Reports, metrics and the command line's help therefore work without Keras and without a backend.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = (
    "calibrate",
    "combine",
    "compat",
    "datasets",
    "decomposition",
    "detection",
    "diversity",
    "metrics",
    "mixtures",
    "plots",
    "recipes",
    "reliability",
    "schedules",
    "segmentation",
    "selection",
    "uncertainty",
    "weight_space",
    "when",
    "zoo",
)
_NAMES = {
    "Combination": "combination",
    "Collect": "training.collect",
    "Ema": "averaging.folds",
    "Ensemble": "inference.ensemble",
    "LastK": "averaging.folds",
    "Mean": "averaging.folds",
    "Snapshots": "runs.snapshots",
    "barrier": "averaging.barrier",
    "dee": "equivalent",
    "deep_ensemble_equivalent": "equivalent",
    "greedy_soup": "averaging.soup",
    "load": "inference.loading",
    "refresh_batchnorm": "averaging.batchnorm",
    "report": "reporting.report",
    "study": "comparison.studying",
    "train": "training.engine.replicas",
}

__all__ = sorted([*_MODULES, *_NAMES])  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from manyminima import (
        calibrate,
        combine,
        compat,
        datasets,
        decomposition,
        detection,
        diversity,
        metrics,
        mixtures,
        plots,
        recipes,
        reliability,
        schedules,
        segmentation,
        selection,
        uncertainty,
        weight_space,
        when,
        zoo,
    )
    from manyminima.averaging.barrier import barrier
    from manyminima.averaging.batchnorm import refresh_batchnorm
    from manyminima.averaging.folds import Ema, LastK, Mean
    from manyminima.averaging.soup import greedy_soup
    from manyminima.combination import Combination
    from manyminima.comparison.studying import study
    from manyminima.equivalent import dee, deep_ensemble_equivalent
    from manyminima.inference.ensemble import Ensemble
    from manyminima.inference.loading import load
    from manyminima.reporting.report import report
    from manyminima.runs.snapshots import Snapshots
    from manyminima.training.collect import Collect
    from manyminima.training.engine.replicas import train


def _import(module: str):
    try:
        return import_module(f"manyminima.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("jax", "torch", "tensorflow"):
            raise
        raise ImportError(
            f"Keras wants the backend {error.name!r}, which is not installed. Install one, as in "
            f'pip install "manyminima[jax]", and choose it before the first import: KERAS_BACKEND=jax.'
        ) from error


def __getattr__(name: str):
    if name in _MODULES:
        return _import(name)
    if name in _NAMES:
        return getattr(_import(_NAMES[name]), name)
    raise AttributeError(f"module 'manyminima' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return [*__all__, "__version__"]
