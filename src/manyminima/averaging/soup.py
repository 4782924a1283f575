"""A greedy soup: the members whose weights, averaged one by one, do not make a held-out score worse."""

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from manyminima import metrics
from manyminima.averaging import batchnorm
from manyminima.averaging.posthoc import average, mean_of
from manyminima.inference.export import copy_of
from manyminima.runs import architecture

if TYPE_CHECKING:
    from manyminima.inference.ensemble import Ensemble

__all__ = ["Soup", "greedy_soup"]


class Soup(NamedTuple):
    """What a greedy soup came to.

    Attributes:
        model: one Keras model with the mean of the chosen members' weights.
        members: the chosen members' places in the ensemble, in the order in which they were taken.
        score: of the soup on the data it was chosen by, which is no estimate of its score on others.
        best_single: the best single member's score on them.
    """

    model: keras.Model
    members: tuple[int, ...]
    score: float
    best_single: float


def greedy_soup(
    ensemble: "Ensemble",
    x: Any,
    y: Any,
    *,
    metric: metrics.Metric | None = None,
    x_train: Any = None,
    sample_weight: Any = None,
) -> Soup:
    """Average members' weights, best first, each one kept if the held-out score of the average does not get worse.

    Never worse than the best single member on `x, y`; equal scores are kept, as in the paper.

    Args:
        ensemble: with one output.
        x: held-out inputs, neither trained on nor to be reported on.
        y: their labels.
        metric: one of `mm.metrics`; None is accuracy, for regression the squared error.
        x_train: training inputs, for the statistics of BatchNormalization of each average.
        sample_weight: (examples,) of the held-out examples.

    Raises:
        TypeError: a metric that is none.
        ValueError: several outputs, or arrays that do not fit together.

    Reference:
        Wortsman et al. 2022, Model soups: averaging weights of multiple fine-tuned models improves accuracy, recipe 1.
    """
    if metric is not None:
        metrics.known(metric)

    def score(weights) -> float:
        scores = ensemble.of([weights]).evaluate(x, y, sample_weight=sample_weight)
        name = metric.__name__ if metric else "squared_error" if "squared_error" in scores else "accuracy"
        if name not in scores:
            raise ValueError(
                f"there is no {name} here; there are {', '.join(scores)}. A soup needs a model with one output."
            )
        return scores[name] if getattr(metrics, name).facts.better == "higher" else -scores[name]

    mask = [v["averaged"] for v in architecture.variables(ensemble.model)]
    singles = [score(weights) for weights in ensemble]
    order = sorted(range(len(ensemble)), key=lambda i: (-singles[i], -i))  # of equal ones the newest first
    chosen, best = [order[0]], singles[order[0]]
    for i in order[1:]:
        members = sorted([*chosen, i])
        part = ensemble.part(members)
        mean = mean_of(part._members, np.full(len(members), 1 / len(members)), mask)
        tried = score(mean if x_train is None else batchnorm.refresh_batchnorm(ensemble.model, mean, x_train))
        if tried >= best:
            chosen, best = [*chosen, i], tried
    if len(chosen) == 1:  # a member, whose statistics are its own
        model = copy_of(ensemble.model, f"{ensemble.model.name}_average")
        architecture.adopt(model, ensemble._members[chosen[0]])
    else:
        model = average(ensemble.part(sorted(chosen)), "equal", x=x_train)
    return Soup(model, tuple(chosen), abs(best), abs(singles[order[0]]))
