"""Which recipe helps on this data and model, at equal budget: every method over many seeds, beside one ordinary run."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from manyminima import calibrate, metrics
from manyminima.arrays import Task
from manyminima.comparison import asked, identity, results, rows, verdict
from manyminima.comparison.answer import Study
from manyminima.comparison.methods import Method, methods_of, peaks_of
from manyminima.comparison.probing import probe
from manyminima.comparison.results import Row, Tried
from manyminima.comparison.running import Job, predictions, seeds_at_once
from manyminima.comparison.store import Store
from manyminima.datasets import Dataset
from manyminima.equivalent import deep_ensemble_equivalent

__all__ = ["Study", "study"]

TUNING = 5
_FEWEST_NETS = 4
# Where the seeds of the nets to compare with begin, and of the runs that choose peaks.
_REFERENCE, _PEAKS = asked.MOST_SEEDS, 2 * asked.MOST_SEEDS


class _Work(NamedTuple):
    """What every part of a study needs."""

    job: Job
    store: Store
    task: Task
    y_val: np.ndarray
    y_test: np.ndarray
    peaks: tuple[float, ...]
    seeds: int


def study(
    build_model: Callable[[], Any],
    data: Dataset | Sequence[tuple[Any, Any]],
    recipes: Sequence[str] = ("snapshot:cycles=5", "swa", "ema:decay=0.99", "deep-ensemble:members=5"),
    *,
    epochs: int,
    seeds: int = 20,
    batch_size: int = 32,
    peaks: Sequence[float] | None = None,
    into: str | os.PathLike | None = None,
    progress: Callable[[str, float], Any] | None = None,
) -> Study:
    """Compare recipes with one ordinary run of the same length, each over many seeds and with a peak of its own choice.

    Baselines are always there: "single" (one cosine cycle), "constant" (a constant rate) and a deep ensemble whose members
    share the budget. For every method each peak is tried with seeds that are used for nothing else, and the one with the
    lowest loss on the validation rows (NLL behind a temperature; squared error) is taken. Then all methods train with the
    same seeds, which pairs their scores.

    Args:
        build_model: takes nothing and returns a compiled model; its learning rate is replaced.
        data: rows to train on, to choose peaks by, and to score: what `mm.datasets.load` gives, or arrays of your own,
            ((x_train, y_train), (x_val, y_val), (x_test, y_test)), each x an array (rows, ...) or a dictionary of them.
        recipes: as they are typed: a name, and options behind a colon: "snapshot:cycles=5", "ema:decay=0.99" (along a constant
            rate), "deep-ensemble:members=5".
        epochs: the budget of every method.
        seeds: of every method; at least 2, and 20 for intervals that tell something.
        batch_size: rows in a batch.
        peaks: learning rates to choose from; None takes (0.03, 0.1, 0.3) for SGD and (0.0003, 0.001, 0.003) for others.
        into: a directory that keeps what is done: the same call again goes on where this one stopped, and with more recipes
            trains only these.
        progress: called with what is being done, and the share of the whole that is, 0..1.

    Raises:
        ValueError: before training, if a method, a peak, a number or the data do not fit; later, if the single run diverges,
            with which all others are compared.
        TypeError: before training, if `build_model` is no function that returns a model, or the data are no such rows.
        FileExistsError: before training, if the directory holds another study: other rows, another model or budget.

    Example:
        study = mm.study(build_model, mm.datasets.load("mnist1d"), ["snapshot:cycles=5", "swa"], epochs=60, seeds=20)
        print(study)

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling, for the deep-ensemble equivalent.
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, for the headline.
    """
    from manyminima.training.engine.replicas import check_function

    check_function(build_model)
    data = rows.dataset_of(data)
    count = rows.count(data.x_train)
    asked.check_numbers(epochs, seeds, batch_size, count)
    given, methods = asked.peaks_asked(peaks), methods_of(recipes, epochs)
    asked.check_fits(methods, epochs, -(-count // batch_size))
    model, task, outputs = probe(build_model, rows.first_rows(data.x_train, batch_size), data.y_train[:batch_size])
    _, y_val, y_test = rows.check_labels(data, task, outputs)
    job = Job(build_model, data.x_train, data.y_train, data.x_val, data.x_test, int(epochs), int(batch_size))
    about = _about(model, data, job)
    name = about["model"].pop("name")  # Keras numbers models as they come
    work = _Work(job, Store(into, about), task, y_val, y_test, given or peaks_of(model.optimizer), int(seeds))
    found = _rows(work, methods, _Telling(progress, len(methods)))
    metric = "squared_error" if task == "regression" else "calibrated_nll"
    told = {
        **about,
        "model": {"name": name, **about["model"]},
        "peaks": list(work.peaks),
        "seeds": work.seeds,
        "seconds": work.store.total("seconds"),
        "into": None if into is None else os.fspath(into),
    }
    sentences = tuple(map(verdict.sentence, found[1:]))
    return Study(
        verdict.headline(found, metric), tuple(found), sentences, verdict.notes(found, job.epochs), metric, told
    )


def _about(model: Any, data: Dataset, job: Job) -> dict[str, Any]:
    from manyminima.training.record import versions

    return {
        "data": identity.about_data(data),
        "model": identity.about_model(model),
        "epochs": job.epochs,
        "batch_size": job.batch_size,
        "versions": versions(),
    }


def _rows(work: _Work, methods: Sequence[Method], tell: "_Telling") -> list[Row]:
    """Score every method, the single run first: with it the others are compared."""
    found: list[Row] = []
    nets = np.empty(0)
    for number, method in enumerate(methods):
        peak, tried = _chosen_peak(work, method, tell.part(number, method, 0))
        probs, models = _final(work, method, peak, 0, tell.part(number, method, 1))
        if number == 0:
            _check_single(peak, probs, 0)
            if work.task != "regression":
                nets, _ = _final(work, method, peak, _REFERENCE, tell.part(number, method, 2))
                _check_single(peak, nets, _REFERENCE)
        scores = results.scores_by_seed(work.y_test, probs, work.task)
        found.append(
            Row(
                name=method.name,
                peak=peak,
                epochs=method.epochs(work.job.epochs),
                models=models,
                runs=method.runs,
                scores=scores,
                differences={name: results.paired(s, found[0].scores[name]) for name, s in scores.items()}
                if found
                else {},
                at_edge=len(tried) > 1 and peak in (min(work.peaks), max(work.peaks)),
                equivalent=_equivalent(work, probs, nets) if found else None,
                failed=_diverged(probs, range(work.seeds)),
                tried=tried,
                recipe=method.python(peak),
            )
        )
    return found


def _chosen_peak(work: _Work, method: Method, tell: Callable[[float], Any]) -> tuple[float, tuple[Tried, ...]]:
    """The peak with the lowest mean loss on the validation rows, over seeds that serve no other purpose."""
    if len(work.peaks) == 1:
        return work.peaks[0], ()
    own = range(_PEAKS, _PEAKS + min(TUNING, work.seeds))
    probs, _ = _predicted(work, method, work.peaks, own, "val", tell)
    tried = tuple(_tried(work, peak, of_peak, own) for peak, of_peak in zip(work.peaks, probs, strict=True))
    best = min(tried, key=lambda one: (len(one.diverged), one.loss if np.isfinite(one.loss) else one.peak))
    return best.peak, tried


def _tried(work: _Work, peak: float, probs: np.ndarray, seeds: Sequence[int]) -> Tried:
    losses = [_loss(work.y_val, one, work.task) for one in probs if np.isfinite(one).all()]
    return Tried(peak, float(np.mean(losses)) if losses else float("nan"), _diverged(probs, seeds))


def _loss(y: np.ndarray, probs: np.ndarray, task: Task) -> float:
    return metrics.squared_error(y, probs) if task == "regression" else calibrate.temperature(y, probs, task=task).after


def _final(work: _Work, method: Method, peak: float, first_seed: int, tell: Callable) -> tuple[np.ndarray, int]:
    """Test predictions, (seeds, examples, classes), and how many models they take."""
    probs, models = _predicted(work, method, (peak,), range(first_seed, first_seed + work.seeds), "test", tell)
    return probs[0], models


def _predicted(
    work: _Work, method: Method, peaks: Sequence[float], seeds: Sequence[int], part: str, tell: Callable
) -> tuple[np.ndarray, int]:
    """Predictions of one part of the rows, (peaks, seeds, examples, classes), made or kept, and how many models they take."""
    found, groups = [], seeds_at_once(seeds)
    x = getattr(work.job, f"x_{part}")
    for number, some in enumerate(groups):

        def told(share: float, number=number) -> None:
            tell((number + share) / len(groups))

        key = {"method": method.name, "peaks": list(peaks), "seeds": some, "part": part}
        found.append(work.store.get(key, lambda s=some, told=told: predictions(work.job, method, peaks, s, x, told)))
        told(1.0)
    return np.concatenate([one["probs"] for one in found], axis=1), int(found[0]["models"])


def _diverged(probs: np.ndarray, seeds: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(seed) for seed, one in zip(seeds, probs, strict=True) if not np.isfinite(one).all())


def _check_single(peak: float, probs: np.ndarray, first_seed: int) -> None:
    if failed := _diverged(probs, range(first_seed, first_seed + len(probs))):
        which = "every seed" if len(failed) == len(probs) else f"seeds {', '.join(map(str, failed[:8]))}"
        raise ValueError(
            f"the single run, with which all are compared, diverged at peak {peak:g} with {which}. Take lower peaks: "
            f"peaks=({peak / 30:.1g}, {peak / 10:.1g}, {peak / 3:.1g})."
        )


def _equivalent(work: _Work, probs: np.ndarray, nets: np.ndarray) -> Any:
    enough = len(nets) >= _FEWEST_NETS and np.isfinite(probs).all()
    return deep_ensemble_equivalent(work.y_test, probs, nets) if enough else None


class _Telling:
    """How far a study is: every method has three parts at most."""

    def __init__(self, progress: Callable[[str, float], Any] | None, methods: int):
        self._progress, self._methods = progress, methods

    def part(self, number: int, method: Method, part: int) -> Callable[[float], None]:
        """Return what a part of a method is to tell its own share to."""

        def tell(share: float) -> None:
            if self._progress is not None:
                self._progress(method.name, (number + (part + share) / 3) / self._methods)

        return tell
