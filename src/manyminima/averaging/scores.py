"""One model or many predictions: what the newest n members are worth alone, averaged in weights, and averaged in predictions."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from manyminima import combine, metrics
from manyminima.arrays import as_problem
from manyminima.averaging import batchnorm
from manyminima.averaging.coefficients import NAMES, coefficients
from manyminima.averaging.running import is_float
from manyminima.runs import architecture
from manyminima.runs.format import Weights

if TYPE_CHECKING:
    from manyminima.inference.ensemble import Ensemble

__all__ = ["AverageScores", "average_scores", "loss"]


@dataclass(frozen=True)
class AverageScores:
    """Scores for n = 1 … all of the newest members, by name of the metric; `print` shows them.

    Attributes:
        single: per metric, the score of the n-th newest member alone.
        weights: per metric and kind of coefficients, of the one model with the newest n members' mean weights.
        predictions: per metric and kind of coefficients, of the newest n members' mean prediction.
        refreshed: whether statistics of BatchNormalization were computed anew for each mean of weights; None: there are none.
    """

    single: dict[str, list[float]]
    weights: dict[str, dict[str, list[float]]]
    predictions: dict[str, dict[str, list[float]]]
    refreshed: bool | None = None

    def __str__(self) -> str:
        from manyminima.reporting import averages, terminal

        return terminal.as_text(averages.renderable(asdict(self)))

    def __rich__(self):
        from manyminima.reporting import averages

        return averages.renderable(asdict(self))


def average_scores(
    ensemble: "Ensemble", x: Any, y: Any, *, x_train: Any = None, sample_weight: Any = None, decay: float = 2.0
) -> AverageScores:
    """Return the scores of single members, of averages of weights and of averages of predictions, for every n.

    Each member is read once more than for predicting; the sums take six models of memory.

    Args:
        ensemble: with one output.
        x: inputs to judge on; neither trained on, nor to be reported on if one of the n is chosen by it.
        y: (examples,) labels, or what the task has.
        x_train: training inputs, for the statistics of BatchNormalization of each average.
        sample_weight: (examples,) non-negative.
        decay: of the exponential coefficients, in members.

    Raises:
        ValueError: several outputs, or arrays that do not fit together.
    """
    probs = ensemble.predict_members(x)
    if isinstance(probs, dict):
        raise ValueError(
            f"the model has the outputs {', '.join(probs)}: scores against n are there for one output only."
        )
    task = ensemble.about["task"]
    problem = as_problem(y, probs, task, sample_weight)
    chosen = {
        name: metric
        for name in ("nll", "accuracy", "squared_error")
        if problem.task in (metric := getattr(metrics, name)).facts.tasks
    }

    def score(one: np.ndarray) -> dict[str, float]:
        return {name: metric(problem.y, one, problem.sample_weight) for name, metric in chosen.items()}

    members = problem.probs
    single = [score(one) for one in members[::-1]]
    predictions = {
        kind: [score(combine.mean(members[-n:], coefficients(kind, n, decay))) for n in range(1, len(members) + 1)]
        for kind in NAMES
    }
    weights: dict[str, list[dict[str, float]]] = {kind: [] for kind in NAMES}
    for kind, mean in _growing_means(ensemble, decay):
        refreshed = mean if x_train is None else batchnorm.refresh_batchnorm(ensemble.model, mean, x_train)
        averaged = as_problem(y, ensemble.of([refreshed]).predict_members(x), task, sample_weight)
        weights[kind].append(score(averaged.probs[0]))
    return AverageScores(
        {name: [one[name] for one in single] for name in chosen},
        {name: {kind: [one[name] for one in weights[kind]] for kind in NAMES} for name in chosen},
        {name: {kind: [one[name] for one in predictions[kind]] for kind in NAMES} for name in chosen},
        x_train is not None if batchnorm.layers_of(ensemble.model) else None,
    )


def loss(ensemble: "Ensemble", x: Any, y: Any, sample_weight: Any = None) -> float:
    """Return the mean NLL (squared error, for regression) of an ensemble, summed over its outputs."""
    scores = ensemble.evaluate(x, y, sample_weight=sample_weight)
    outputs = scores.values() if all(isinstance(one, dict) for one in scores.values()) else [scores]
    return float(sum(one["squared_error" if "squared_error" in one else "nll"] for one in outputs))


def _growing_means(ensemble: "Ensemble", decay: float) -> Iterator[tuple[str, Weights]]:
    """Yield the kind and the mean weights of the newest n members, n = 1 … all; each member is read once.

    With S the sum of the newest n, the linear sum grows by S, and the exponential one by the n-th newest times its share.
    """
    mask = [v["averaged"] for v in architecture.variables(ensemble.model)]
    newest = [np.array(w) for w in ensemble._members[-1]]
    mixed = [may and is_float(w.dtype) for may, w in zip(mask, newest, strict=True)]
    sums = {kind: [np.zeros(w.shape) for w in newest] for kind in NAMES}
    for n in range(1, len(ensemble) + 1):
        member = ensemble._members[-n]
        for i, new in enumerate(member):
            if mixed[i]:
                wide = new.astype("float64")
                sums["equal"][i] += wide
                sums["linear"][i] += sums["equal"][i]
                sums["exponential"][i] += np.exp((1 - n) / decay) * wide
        totals = {"equal": n, "linear": n * (n + 1) / 2, "exponential": np.exp((1 - np.arange(1, n + 1)) / decay).sum()}
        for kind in NAMES:
            pairs = zip(sums[kind], newest, mixed, strict=True)
            yield kind, [(s / totals[kind]).astype(new.dtype) if m else new for s, new, m in pairs]
