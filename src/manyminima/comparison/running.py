"""Runs of one method: trained together where the backend can, predicted, and combined into one prediction per seed."""

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from manyminima.comparison.methods import Method

__all__ = ["Job", "predictions", "seeds_at_once"]

_APART = 1_000_000  # between the seeds of runs that share a budget: the first one's are those of all other methods


class Job(NamedTuple):
    """What all methods of a study train on, and predict."""

    build_model: Callable[[], Any]
    x_train: Any
    y_train: np.ndarray
    x_val: Any
    x_test: Any
    epochs: int
    batch_size: int


def seeds_at_once(seeds: Sequence[int]) -> list[list[int]]:
    """Return which seeds make one part of a study: all where they train in one program, each by itself where one `fit` does."""
    import keras

    return [list(seeds)] if keras.backend.backend() == "jax" else [[seed] for seed in seeds]


def predictions(
    job: Job, method: Method, peaks: Sequence[float], seeds: Sequence[int], x: Any, progress: Callable[[float], Any]
) -> dict[str, np.ndarray]:
    """Train the method once for each peak and seed; return what it predicts.

    Args:
        job: Model, data and budget.
        method: What to train.
        peaks: Of the learning rate.
        seeds: One run for each. Of the runs that share a budget the first has this seed, the others have seeds of their own.
        x: Inputs to predict, (examples, ...).
        progress: Called with the share that is done, 0..1.

    Returns:
        "probs": (peaks, seeds, examples, classes) float32, the mean of the members, NaN where a run has diverged; "models":
        how many members that is; "seconds": that it took.
    """
    from manyminima.training.engine.replicas import train_replicas

    begun = time.perf_counter()
    own = [seed + _APART * run for seed in seeds for run in range(method.runs)]
    with _quiet():
        ensemble = train_replicas(
            job.build_model,
            (job.x_train, job.y_train),
            [method.recipe(peak) for peak in peaks for _ in own],
            own * len(peaks),
            epochs=method.epochs(job.epochs),
            batch_size=job.batch_size,
            progress=lambda done, total: progress(0.9 * done / total),
        )
        found = _every_member(ensemble, x)
    members = len(ensemble) // (len(own) * len(peaks))  # sorted by step, then by replica
    probs = found.reshape(members, len(peaks), len(seeds), method.runs, *found.shape[1:]).mean(
        axis=(0, 3), dtype="float64"
    )
    progress(1.0)
    return {
        "probs": probs.astype("float32"),
        "models": np.array(members * method.runs),
        "seconds": np.array(time.perf_counter() - begun),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the result says by itself, which seeds diverged, and what TensorFlow says of every new model."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the loss of .* became NaN", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _every_member(ensemble, x: Any) -> np.ndarray:
    """Predict with all members; those that have diverged predict NaN instead of ending the study."""
    places = [
        i for i, member in enumerate(ensemble) if all(np.isfinite(np.asarray(w, "float64")).all() for w in member)
    ]
    found = dict(_finite(ensemble, places, x))
    shape = next(iter(found.values())).shape if found else _untrained(ensemble, x).shape
    nothing = np.full(shape, np.nan, "float32")
    return np.stack([found.get(i, nothing) for i in range(len(ensemble))])


def _finite(ensemble, places: list[int], x: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the predictions of members that are numbers; weights that are may still be too large for that."""
    if not places:
        return
    try:
        yield from zip(places, ensemble.part(places).predict_members(x), strict=True)
    except ValueError:  # at least one member predicts NaN: which?
        half = len(places) // 2
        for some in (places[:half], places[half:]) if half else ():
            yield from _finite(ensemble, some, x)


def _untrained(ensemble, x: Any) -> np.ndarray:
    return ensemble.of([[np.zeros_like(w) for w in ensemble[0]]]).predict_members(x)[0]
