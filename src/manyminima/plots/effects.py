"""Pictures of differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import GREEN, GREY, ORANGE, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.38  # inches
_FAR = 10.0  # times as far from 0 as is usual
_MARGIN = 0.06  # of the axis, beyond the outermost end


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

    Green ones lie below 0 with their whole interval, orange ones above it, grey ones cannot be told from it. What would make
    the others too small to see ends in an arrow; rows that are NaN stay empty.

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
    from matplotlib.ticker import MaxNLocator

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
    least, most = _window(values[1], values[2])
    for row, (mean, low, high) in enumerate(zip(*values, strict=True)):
        colour = GREEN if high < 0 else ORANGE if low > 0 else GREY
        ax.plot([max(low, least), min(high, most)], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot(mean, row, "o", color=colour, markersize=6)
        for beyond, end, arrow in ((low < least, least, "<"), (high > most, most, ">")):
            if beyond:
                ax.plot(end, row, arrow, color=colour, markersize=7, clip_on=False)
    ax.set_xlim(least, most)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    return ax


def _window(lows: np.ndarray, highs: np.ndarray) -> tuple[float, float]:
    """What of the axis is shown: all intervals, but for those that reach far beyond most others, and 0."""
    reach = np.abs([lows, highs]).max(axis=0)
    usual = np.nanmedian(reach) if np.isfinite(reach).any() else 1.0
    shown = reach <= _FAR * usual
    least, most = min(0.0, *lows[shown], 0.0), max(0.0, *highs[shown], 0.0)
    if not shown[np.isfinite(reach)].all():
        least, most = (
            (min(least, -usual) if (lows < least).any() else least),
            (max(most, usual) if (highs > most).any() else most),
        )
    room = _MARGIN * (most - least or 1.0)
    return least - room, most + room
