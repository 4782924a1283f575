"""How much the members differ: each measure, what it is called, and who differs from whom."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manyminima import decomposition, diversity, weight_space
from manyminima.arrays import Problem

__all__ = ["correlation", "matrix", "measures", "sentences", "weights"]

_MOST_NUMBERS = 50_000_000  # of all members' weights: a second's work; more is left to whoever asks for it


def measures(problem: Problem) -> dict[str, float]:
    """Each measure by name; empty for one member."""
    if len(problem.probs) == 1:
        return {}
    if problem.task == "regression":
        parts = decomposition.ambiguity(
            problem.y, problem.probs, task="regression", sample_weight=problem.sample_weight
        )
        return {"variance": parts.variance}
    alone = {name: getattr(diversity, name)(problem.probs) for name in (*diversity.__all__, "js")}
    return {
        **alone,
        "normalised_disagreement": decomposition.normalised_disagreement(problem.y, problem.probs, task="multiclass"),
        "jensen_gap": decomposition.jensen_gap(
            problem.y, problem.probs, task="multiclass", sample_weight=problem.sample_weight
        ),
    }


def weights(run: Any, members: int) -> dict[str, float]:
    """Cosine and distance of the members' weights, means over pairs; empty where they are not at hand, or are many.

    Args:
        run: What the report is about: an ensemble has weights, other things have none.
        members: How many members the report has.
    """
    if members == 1 or isinstance(run, Mapping) or not hasattr(run, "__getitem__") or len(run) != members:
        return {}
    if members * sum(np.size(array) for array in run[0]) > _MOST_NUMBERS:
        return {}
    lists, pairs = list(run), np.triu_indices(members, 1)
    found = {name: getattr(weight_space, name)(lists)[pairs] for name in weight_space.__all__}
    return {name: float(values.mean()) for name, values in found.items()}


def sentences(found: dict[str, float]) -> list[str]:
    """Each measure with its number and its direction.

    >>> sentences({"disagreement": 0.021, "jensen_gap": 0.0123})
    ['disagreement 2.10% of predictions (higher is more diverse)', 'what averaging takes off the mean NLL 0.0123 nats']
    """
    return [_SAID[name].format(value) for name, value in found.items()]


_SAID = {
    "disagreement": "disagreement {:.2%} of predictions (higher is more diverse)",
    "softmax_correlation": "correlation of probabilities {:.4f} (lower is more diverse)",
    "js": "Jensen-Shannon divergence {:.4f} nats (higher is more diverse)",
    "normalised_disagreement": "disagreement {:.2f} times the error rate (higher is more diverse)",
    "jensen_gap": "what averaging takes off the mean NLL {:.4f} nats",
    "weight_cosine": "cosine of their weights {:.4f} (lower is more diverse)",
    "weight_distance": "distance of their weights {:.4g} (higher is more diverse)",
    "variance": "variance around their mean {:.4g}, which is what averaging takes off the mean squared error",
}


def matrix(problem: Problem) -> tuple[tuple[float, ...], ...]:
    """Share of the rows on which each pair of members predicts different classes; empty for one member and regression."""
    if len(problem.probs) == 1 or problem.task == "regression":
        return ()
    return tuple(map(tuple, diversity.disagreement_matrix(problem.probs).tolist()))


def correlation(problem: Problem) -> tuple[tuple[float, ...], ...]:
    """Correlation of each pair's probabilities, of regression of their errors; empty for one member, or where there is none."""
    members = len(problem.probs)
    if members == 1:
        return ()
    if problem.task != "regression":
        found = diversity.softmax_correlation_matrix(problem.probs)
    else:
        errors = (problem.probs - problem.y).reshape(members, -1)
        if np.any(np.ptp(errors, axis=1) == 0):
            return ()
        found = np.corrcoef(errors)
    return tuple(map(tuple, found.tolist())) if np.all(np.isfinite(found)) else ()
