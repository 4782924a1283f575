"""Pictures of how a run was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREY, ORANGE, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_rate(steps: ArrayLike, rates: ArrayLike, collected: ArrayLike = (), ax: Axes | None = None) -> Axes:
    """The learning rate of each step, with a dot where a member was collected.

    A member collected at step n has seen n batches, the last of them with the rate of step n - 1: the dot sits there.

    Args:
        steps: (points,) 0-based steps, increasing.
        rates: (points,) the rate of each.
        collected: (members,) the steps at which members were collected.
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: No points, or not one rate per step.

    Example:
        >>> learning_rate([0, 1, 2, 3], [0.1, 0.01, 0.1, 0.01], [2, 4]).get_xlabel()
        'step (batches)'
    """
    steps, rates, collected = np.asarray(steps), np.asarray(rates), np.asarray(collected, dtype=float)
    if steps.shape != rates.shape or steps.ndim != 1 or steps.size == 0:
        raise ValueError(f"steps has shape {steps.shape} and rates {rates.shape}, expected one rate for each step.")
    ax = prepared(ax, "Learning rate", "step (batches)", "learning rate")
    ax.plot(steps, rates, color=BLUE, linewidth=1.6, label="learning rate")
    if collected.size:
        at = np.clip(np.searchsorted(steps, collected) - 1, 0, None)
        ax.vlines(collected, 0, rates[at], color=GREY, linewidth=0.6, linestyle=":")
        ax.plot(collected, rates[at], "o", color=ORANGE, markersize=6, label="member collected", clip_on=False)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    return ax
