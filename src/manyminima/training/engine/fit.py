"""The engine where there is no program of many replicas: one `fit` after the other."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from manyminima.datasets.batches import Batches
from manyminima.training.collect import Collect
from manyminima.training.diverged import AsTheyAre
from manyminima.training.engine.plan import Job
from manyminima.training.engine.start import build, check_two, untouched_generators

__all__ = ["fit_each"]


class _CollectAll(Collect):
    """Stores what a diverged replica holds: each has its members, and the caller says which have diverged."""

    _checks = AsTheyAre


def fit_each(
    build_model: Callable[[], keras.Model],
    job: Job,
    recipes: Sequence[Any],
    folds: Sequence[Any],
    progress: Callable[[int, int], Any],
) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """Train the replicas with `fit`; return the first one's model, and the history (epochs, replicas, ...).

    Args:
        build_model: returns a compiled model.
        job: what is to be trained.
        recipes: one for each replica.
        folds: where each replica's members go.
        progress: called after each epoch.

    Raises:
        ValueError: the first two seeds give the same weights.
    """
    models, histories = [], []
    x, y, sample_weight = (*job.data, None, None)[:3]
    with untouched_generators():
        check_two(build_model, job.seeds, job.first_batch)
        for replica, (recipe, fold, seed) in enumerate(zip(recipes, folds, job.seeds, strict=True)):
            model = build(build_model, seed, job.first_batch)
            history = model.fit(
                Batches(x, y, job.batch_size, seed=seed, sample_weight=sample_weight),
                shuffle=False,
                epochs=job.epochs,
                validation_data=job.validation_data,
                verbose=0,
                callbacks=[_CollectAll(recipe, into=fold), _telling(progress, replica, job)],
            )
            models, histories = [*models, model][:1], [*histories, history.history]
    names = sorted(set.intersection(*map(set, histories)))
    return models[0], {name: np.stack([np.asarray(h[name]) for h in histories], axis=1) for name in names}


def _telling(progress: Callable[[int, int], Any], replica: int, job: Job) -> keras.callbacks.Callback:
    def tell(epoch, logs=None):
        progress(replica * job.total + (epoch + 1) * job.steps, len(job.seeds) * job.total)

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)
