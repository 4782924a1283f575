"""Runs of one method: trained together where the backend can, predicted, and combined into one prediction per seed."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from manyminima.comparison.methods import Method

__all__ = ["Job", "predictions"]


class Job(NamedTuple):
    """What all methods of a study train on, and predict."""

    build_model: Callable[[], Any]
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    x_test: np.ndarray
    epochs: int
    batch_size: int


def predictions(
    job: Job, method: Method, peaks: Sequence[float], seeds: Sequence[int], progress: Callable[[float], Any]
) -> dict[str, np.ndarray]:
    """Train the method once for each peak and seed; return what it predicts.

    Args:
        job: Model, data and budget.
        method: What to train.
        peaks: Of the learning rate.
        seeds: One run for each, or as many as the method has, with seeds of their own.
        progress: Called with the share that is done, 0..1.

    Returns:
        "val" and "test": (peaks, seeds, examples, classes) float32, the mean of the members; "models": how many members
        that is. Where a run has diverged, its predictions are NaN.
    """
    from manyminima.training.engine.replicas import train_replicas

    own = [seed * method.runs + run for seed in seeds for run in range(method.runs)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the loss of .* became NaN", UserWarning)  # the result says which seeds
        ensemble = train_replicas(
            job.build_model,
            (job.x_train, job.y_train),
            [method.recipe(peak) for peak in peaks for _ in own],
            own * len(peaks),
            epochs=method.epochs(job.epochs),
            batch_size=job.batch_size,
            progress=lambda done, total: progress(0.9 * done / total),
        )
    replicas = len(own) * len(peaks)
    members = len(ensemble) // replicas  # sorted by step, then by replica
    shape = (members, len(peaks), len(seeds), method.runs)
    found = {name: _mean(ensemble, x, shape) for name, x in (("val", job.x_val), ("test", job.x_test))}
    progress(1.0)
    return {**found, "models": np.array(members * method.runs)}


def _mean(ensemble, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    probs = _every_member(ensemble, x)
    return probs.reshape(*shape, *probs.shape[1:]).mean(axis=(0, 3), dtype="float64").astype("float32")


def _every_member(ensemble, x: np.ndarray) -> np.ndarray:
    """Predict with all members; those that have diverged predict NaN instead of ending the study."""
    good = [i for i, member in enumerate(ensemble) if all(np.isfinite(np.asarray(w, "float64")).all() for w in member)]
    if not good:
        raise ValueError("every run has diverged at every peak. Take lower ones: peaks=(0.001, 0.003), for example.")
    probs = (ensemble if len(good) == len(ensemble) else ensemble.part(good)).predict_members(x)
    if len(good) == len(ensemble):
        return probs
    everyone = np.full((len(ensemble), *probs.shape[1:]), np.nan, "float32")
    everyone[good] = probs
    return everyone
