"""How high the loss rises on the straight line between two members: whether their weights can be averaged."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from manyminima.averaging import batchnorm
from manyminima.averaging.posthoc import mean_of
from manyminima.averaging.scores import loss
from manyminima.runs import architecture
from manyminima.runs.format import Weights

if TYPE_CHECKING:
    from manyminima.inference.ensemble import Ensemble

__all__ = ["Barrier", "barrier"]


@dataclass(frozen=True)
class Barrier:
    """The loss between two sets of weights; `mm.plots.barrier(result.positions, result.losses)` draws it.

    Attributes:
        positions: (points,) 0 is the first, 1 the second.
        losses: (points,) NLL in nats, for regression the squared error.
    """

    positions: np.ndarray
    losses: np.ndarray

    @property
    def height(self) -> float:
        """How far the loss rises at most above the line between its ends, at least 0; 0 is one basin."""
        line = (1 - self.positions) * self.losses[0] + self.positions * self.losses[-1]
        return float(np.max(self.losses - line))

    def __str__(self) -> str:
        ends = f"{self.losses[0]:.4g} and {self.losses[-1]:.4g}"
        return f"loss barrier {self.height:.4g} between losses of {ends}, highest loss {self.losses.max():.4g}"


def barrier(
    model: "keras.Model | Ensemble",
    a: Weights,
    b: Weights,
    x: Any,
    y: Any,
    *,
    points: int = 11,
    x_train: Any = None,
    sample_weight: Any = None,
) -> Barrier:
    """Return the loss on the line `(1 - λ) * a + λ * b`, with statistics of BatchNormalization computed anew at each point.

    Args:
        model: the architecture, compiled, so that its task can be told; or an ensemble of it.
        a: the first weights, in the order of `model.weights`, such as `ensemble[0]`.
        b: the second weights.
        x: inputs to judge on.
        y: their labels.
        points: on the line, ends included, at least 3.
        x_train: training inputs for the statistics of BatchNormalization; None takes x.
        sample_weight: (examples,) of the examples judged on.

    Raises:
        ValueError: too few points, weights that do not fit the model, or a task that cannot be told.

    Reference:
        Frankle et al. 2020, Linear Mode Connectivity and the Lottery Ticket Hypothesis.
    """
    from manyminima.inference.ensemble import Ensemble

    if points < 3:
        raise ValueError(f"points={points}: expected at least 3, the ends and one between.")
    ensemble = model if isinstance(model, Ensemble) else Ensemble(model, [a, b])
    expected = architecture.variables(ensemble.model)
    for which, weights in (("a", a), ("b", b)):
        architecture.check_weights([{"shape": np.shape(w)} for w in weights], expected, which, ensemble.model.name)
    has_statistics = bool(batchnorm.layers_of(ensemble.model))
    positions, losses = np.linspace(0, 1, points), []
    for position in positions:
        weights = mean_of([a, b], [1 - position, position], [v["averaged"] for v in expected])
        if has_statistics:
            weights = batchnorm.refresh_batchnorm(ensemble.model, weights, x if x_train is None else x_train)
        losses.append(loss(ensemble.of([weights]), x, y, sample_weight))
    return Barrier(positions, np.array(losses))
