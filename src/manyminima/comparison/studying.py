"""Which recipe helps on this data and model, at equal budget: every method over many seeds, beside one ordinary run."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manyminima import calibrate, metrics
from manyminima.arrays import Task
from manyminima.comparison import results, verdict
from manyminima.comparison.methods import BASELINES, DEEP, PEAKS, Method, method_of, peaks_of
from manyminima.comparison.results import Row
from manyminima.comparison.running import Job, predictions
from manyminima.comparison.store import Store
from manyminima.datasets import Dataset
from manyminima.equivalent import deep_ensemble_equivalent
from manyminima.reporting.files import json_data, write_text

__all__ = ["Study", "study"]

TUNING = 5
_FEWEST_NETS = 4
_DEEP_MEMBERS = 5
_REFERENCE, _PEAKS = 10_000, 20_000  # where the seeds of nets to compare with, and of peaks to choose, begin


@dataclass(frozen=True)
class Study:
    """What every method is worth against one ordinary run of the same length.

    `print(study)` shows it in the terminal; `to_html` and `to_json` write files.

    Attributes:
        headline: The answer in one sentence.
        rows: Every method, the single run first.
        sentences: Each method against the single run.
        notes: What the numbers are, and what they do not show.
        metric: The one that the headline is about.
        about: Data, model, budget, peaks and versions.
    """

    headline: str
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    metric: str
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The study as JSON data; what is not finite is None."""
        return json_data(asdict(self))

    def to_json(self, path: str | Path) -> Path:
        """Write the study as JSON; folders on the way are made."""
        return write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_html(self, path: str | Path) -> Path:
        """Write the study as one page that needs no other file and no network; folders on the way are made."""
        from manyminima.comparison import showing

        return write_text(path, showing.page(self))

    def __repr__(self) -> str:
        return f"Study({len(self.rows)} methods, {self.about['seeds']} seeds: {self.headline!r})"

    def __str__(self) -> str:
        from manyminima.comparison import showing
        from manyminima.reporting.terminal import as_text

        return as_text(showing.renderable(self))

    def __rich__(self):
        from manyminima.comparison import showing

        return showing.renderable(self)

    def _repr_html_(self) -> str:
        from manyminima.comparison import showing

        return showing.fragment(self)


def study(
    build_model: Callable[[], Any],
    data: Dataset,
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
        data: as of `mm.datasets.load`: rows to train on, to choose peaks by, and to score.
        recipes: as they are typed: a name, and options behind a colon: "snapshot:cycles=5", "ema:decay=0.99" (along a constant
            rate), "deep-ensemble:members=5".
        epochs: the budget of every method.
        seeds: of every method; at least 2, and 20 for intervals that tell something.
        batch_size: rows in a batch.
        peaks: learning rates to choose from; None takes (0.03, 0.1, 0.3) for SGD and (0.0003, 0.001, 0.003) for others.
        into: a directory that keeps what is done: the same call again goes on where this one stopped.
        progress: called with what is being done, and the share of the whole that is, 0..1.

    Raises:
        ValueError: before training, if a method, a peak or a number does not fit.
        FileExistsError: the directory holds another study.

    Example:
        study = mm.study(build_model, mm.datasets.load("mnist1d"), ["snapshot:cycles=5", "swa"], epochs=60, seeds=20)
        print(study)

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling, for the deep-ensemble equivalent.
    """
    methods = _methods(recipes, epochs)
    _check(methods, PEAKS["SGD"] if peaks is None else peaks, epochs, seeds, batch_size, len(data.x_train))
    model = _built(build_model, (data.x_train[:batch_size], data.y_train[:batch_size]))
    peaks = peaks_of(model.optimizer) if peaks is None else peaks
    job = Job(build_model, data.x_train, data.y_train, data.x_val, data.x_test, epochs, batch_size)
    task: Task = "regression" if data.task == "regression" else "multiclass"
    about = _about(model, data, job, peaks)
    name = about["model"].pop("name")  # Keras numbers models as they come
    store, tell = Store(into, about), _Telling(progress, len(methods))
    rows, reference = [], np.empty(0)
    for number, method in enumerate(methods):
        peak = _chosen_peak(store, job, method, peaks, data.y_val, task, seeds, tell.part(number, method, 0))
        probs, models = _final(store, job, method, peak, range(seeds), tell.part(number, method, 1))
        scores = results.scores_by_seed(data.y_test, probs, task)
        if number == 0 and task != "regression":
            others = range(_REFERENCE, _REFERENCE + seeds)
            reference = _final(store, job, method, peak, others, tell.part(number, method, 2))[0]
        rows.append(_row(method, peak, peaks, models, scores, probs, reference, data.y_test, rows, job))
    metric = "squared_error" if task == "regression" else "calibrated_nll"
    told = {
        **about,
        "model": {"name": name, **about["model"]},
        "seeds": seeds,
        "into": None if into is None else os.fspath(into),
    }
    sentences = tuple(map(verdict.sentence, rows[1:]))
    return Study(verdict.headline(rows, metric), tuple(rows), sentences, verdict.notes(rows), metric, told)


def _methods(recipes: Sequence[str], epochs: int) -> list[Method]:
    """The baselines and what was asked for, each once, in that order."""
    if isinstance(recipes, str):
        raise TypeError(f'recipes={recipes!r} is one text, expected a list of them: ["{recipes}"].')
    asked = [method_of(text) for text in recipes]
    shared = min(_DEEP_MEMBERS, epochs)
    deep = [] if shared < 2 or any(method.kind == DEEP for method in asked) else [method_of(f"{DEEP}:members={shared}")]
    every = [*(method_of(name) for name in BASELINES), *asked, *deep]
    return list({method.name: method for method in every}.values())


def _check(methods: list[Method], peaks: Sequence[float], epochs: int, seeds: int, batch_size: int, rows: int) -> None:
    if seeds < 2:
        raise ValueError(f"seeds={seeds}: an interval over seeds needs at least 2, and 20 to tell something.")
    if not len(peaks) or not all(np.isfinite(peak) and peak > 0 for peak in peaks):
        raise ValueError(
            f"peaks={tuple(peaks)}: expected one learning rate above 0 or several, such as (0.03, 0.1, 0.3)."
        )
    if not 1 <= batch_size <= rows:
        raise ValueError(f"batch_size={batch_size}: expected 1 to {rows}, the number of training rows.")
    for method in methods:
        for peak in peaks:
            method.recipe(float(peak)).plan(method.epochs(epochs), -(-rows // batch_size))


def _built(build_model: Callable[[], Any], batch: tuple) -> Any:
    """One model, to tell about."""
    from manyminima.training.engine.start import build, untouched_generators

    with untouched_generators():
        return build(build_model, 0, batch)


def _about(model: Any, data: Dataset, job: Job, peaks: Sequence[float]) -> dict[str, Any]:
    from manyminima.training.record import versions

    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return {
        "data": {key: data.contract.get(key) for key in ("source", "test_sha256", "rows", "classes", "seed")},
        "model": {
            "name": model.name,
            "parameters": model.count_params(),
            "shapes": [list(variable.shape) for variable in model.variables],
            "optimizer": type(optimizer).__name__,
        },
        "epochs": job.epochs,
        "batch_size": job.batch_size,
        "peaks": [float(peak) for peak in peaks],
        "versions": versions(),
    }


def _chosen_peak(store: Store, job: Job, method: Method, peaks, y_val, task: Task, seeds: int, tell) -> float:
    """The peak with the lowest mean loss on the validation rows, over seeds that serve no other purpose."""
    if len(peaks) == 1:
        return float(peaks[0])
    own = list(range(_PEAKS, _PEAKS + min(TUNING, seeds)))
    key = {"method": method.name, "peaks": [float(peak) for peak in peaks], "seeds": own}
    probs = store.get(key, lambda: predictions(job, method, peaks, own, tell))["val"]
    losses = [np.mean([_loss(y_val, one, task) for one in of_peak]) for of_peak in probs]
    return float(peaks[int(np.argmin(losses))])


def _loss(y: np.ndarray, probs: np.ndarray, task: Task) -> float:
    if not np.isfinite(probs).all():
        return float("inf")
    return metrics.squared_error(y, probs) if task == "regression" else calibrate.temperature(y, probs, task=task).after


def _final(store: Store, job: Job, method: Method, peak: float, seeds: Sequence[int], tell) -> tuple[np.ndarray, int]:
    """Test predictions, (seeds, examples, classes), and how many models they take."""
    key = {"method": method.name, "peaks": [peak], "seeds": list(seeds)}
    found = store.get(key, lambda: predictions(job, method, [peak], seeds, tell))
    return found["test"][0], int(found["models"])


def _row(method, peak, peaks, models, scores, probs, reference, y_test, rows: list[Row], job: Job) -> Row:
    failed = tuple(int(seed) for seed in np.flatnonzero([not np.isfinite(one).all() for one in probs]))
    single = rows[0].scores if rows else None
    differences = {name: results.paired(values, single[name]) for name, values in scores.items()} if single else {}
    enough = single is not None and len(reference) >= _FEWEST_NETS and not failed and np.isfinite(reference).all()
    equivalent = deep_ensemble_equivalent(y_test, probs, reference) if enough else None
    return Row(
        name=method.name,
        peak=peak,
        epochs=method.epochs(job.epochs),
        models=models,
        scores=scores,
        differences=differences,
        at_edge=len(peaks) > 1 and peak in (min(peaks), max(peaks)),
        equivalent=equivalent,
        failed=failed,
    )


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
