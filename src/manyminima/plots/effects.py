"""Pictures of differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREEN, GREY, ORANGE, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.38  # inches


def forest(
    names: Sequence[str],
    means: ArrayLike,
    lows: ArrayLike,
    highs: ArrayLike,
    ax: Axes | None = None,
    *,
    label: str = "",
) -> Axes:
    """Differences from a reference with their intervals, one row each, the first on top; lower is better.

    Green ones lie below 0 with their whole interval, orange ones above it, grey ones cannot be told from it.

    Args:
        names: What each row is.
        means: (rows,) differences.
        lows: (rows,) lower ends of the intervals.
        highs: (rows,) upper ends.
        ax: Where to draw. A new figure if None.
        label: What the difference is of, with its unit.

    Raises:
        ValueError: No row, or not one number of each kind for each name.

    Example:
        >>> forest(["swa"], [-0.01], [-0.02], [0.0], label="NLL").get_xlabel()
        'NLL, difference (lower is better)'
    """
    values = [np.asarray(one, "float64") for one in (means, lows, highs)]
    if not len(names) or any(one.shape != (len(names),) for one in values):
        raise ValueError(
            f"{len(names)} names, and numbers of shapes {', '.join(str(one.shape) for one in values)}: expected a mean, a lower "
            "and an upper end for each name."
        )
    ax = prepared(
        ax, "Against the reference", f"{label}, difference (lower is better)", "", height=1.2 + _ROW * len(names)
    )
    ax.set_ylabel("method")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", alpha=0.25, linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
    for row, (mean, low, high) in enumerate(zip(*values, strict=True)):
        colour = GREEN if high < 0 else ORANGE if low > 0 else GREY
        ax.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot(mean, row, "o", color=BLUE if np.isnan(mean) else colour, markersize=6)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    return ax
