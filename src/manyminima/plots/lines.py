"""Pictures of what lies between members in weight space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREY, ORANGE, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def barrier(positions: ArrayLike, losses: ArrayLike, ax: Axes | None = None) -> Axes:
    """The loss on the straight line between two sets of weights, and how far it rises above the line between its ends.

    Args:
        positions: (points,) 0 is the first, 1 the second, increasing.
        losses: (points,) the loss at each.
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: Not one loss for each position.

    Example:
        >>> barrier([0, 0.5, 1], [0.2, 0.9, 0.4]).get_title("left")
        'Loss between two members: barrier 0.6'

    Reference:
        Frankle et al. 2020, Linear Mode Connectivity and the Lottery Ticket Hypothesis.
    """
    positions, losses = np.asarray(positions, "float64"), np.asarray(losses, "float64")
    if positions.shape != losses.shape or positions.ndim != 1 or positions.size == 0:
        raise ValueError(
            f"positions has shape {positions.shape} and losses {losses.shape}, expected one loss for each."
        )
    line = losses[0] + (losses[-1] - losses[0]) * positions
    top = int(np.argmax(losses - line))
    height = losses[top] - line[top]
    ax = prepared(
        ax,
        f"Loss between two members: barrier {height:.3g}",
        "share of the second member's weights",
        "loss (lower is better)",
    )
    ax.plot(positions, line, "--", color=GREY, linewidth=1.2, label="line between the ends")
    ax.plot(positions, losses, "o-", color=BLUE, linewidth=1.8, markersize=4, label="mixed weights")
    if height > 0:
        ends = {
            "arrowstyle": "|-|, widthA=0.3, widthB=0.3",
            "color": ORANGE,
            "linewidth": 1.6,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        ax.annotate("", (positions[top], losses[top]), (positions[top], line[top]), arrowprops=ends)
        middle = (positions[top], (losses[top] + line[top]) / 2)
        ax.annotate(f"{height:.3g}", middle, (6, 0), textcoords="offset points", color=ORANGE, va="center")
    ax.legend(frameon=False, fontsize="small")
    return ax
