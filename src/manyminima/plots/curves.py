"""Pictures of how training went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREEN, GREY, ORANGE, prepared, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"training": BLUE, "validation": ORANGE}
_FEW_POINTS = 30


def learning_curves(
    at: ArrayLike,
    curves: Mapping[str, ArrayLike],
    collected: ArrayLike = (),
    ax: Axes | None = None,
    *,
    label: str = "loss",
    xlabel: str = "epoch",
) -> Axes:
    """What was logged while a model was trained, with a line where a member was collected.

    Args:
        at: (points,) when it was logged: epochs or steps, increasing.
        curves: By name, as "training" and "validation", (points,) values; NaN where there is none.
        collected: (members,) when members were collected, in the same unit.
        ax: Where to draw. A new figure if None.
        label: What was logged.
        xlabel: What `at` counts.

    Raises:
        ValueError: No points, or a curve that has not one value for each.

    Example:
        >>> learning_curves([1, 2], {"training": [0.9, 0.5], "validation": [1.0, 0.7]}).get_ylabel()
        'loss'
    """
    at, collected = np.asarray(at, "float64"), np.asarray(collected, "float64")
    values = {name: np.asarray(one, "float64") for name, one in curves.items()}
    if at.ndim != 1 or not at.size or any(one.shape != at.shape for one in values.values()):
        shapes = ", ".join(f"{name} {one.shape}" for name, one in values.items())
        raise ValueError(f"at has shape {at.shape}, and the curves {shapes}: expected one value for each point.")
    ax = prepared(ax, "Learning curves", xlabel, label)
    for place in collected:
        ax.axvline(place, color=GREY, linewidth=0.6, linestyle=":")
    style = "o-" if len(at) <= _FEW_POINTS else "-"
    for name, one in values.items():
        here = np.isfinite(one)
        ax.plot(at[here], one[here], style, color=_COLOURS.get(name, GREEN), linewidth=1.6, markersize=3.5, label=name)
    if np.array_equal(at, at.round()):
        whole_numbers(ax.xaxis)
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    return ax
