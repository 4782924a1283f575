"""Pictures of how much members differ, pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima import diversity
from manyminima.arrays import Pairs
from manyminima.plots.drawing import ink_on, prepared, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST_LABELLED_MATRIX = 12


def correlation(probs: ArrayLike, ax: Axes | None = None) -> Axes:
    """A heatmap of the correlation between the members' probabilities, -1..1; lower is more diverse.

    Args:
        probs: (members, examples, classes).
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> correlation([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).get_title("left")
        'Correlation of probabilities'

    Reference:
        Huang et al. 2017, Snapshot Ensembles, figure 6.
    """
    return correlation_map(diversity.softmax_correlation_matrix(probs), ax)


def correlation_map(matrix: Pairs, ax: Axes | None = None, *, of: str = "probabilities") -> Axes:
    """The picture of `correlation` from a (members, members) matrix that is already there."""
    return _heatmap(matrix, f"Correlation of {of}", "Pearson", ax)


def disagreement(probs: ArrayLike, ax: Axes | None = None) -> Axes:
    """A heatmap of the share of examples on which two members predict different classes, 0..1; higher is more diverse.

    Args:
        probs: (members, examples, classes).
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> disagreement([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).get_title("left")
        'Disagreement of members, share of examples'

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, figure 3.
    """
    return disagreement_map(diversity.disagreement_matrix(probs), ax)


def disagreement_map(matrix: Pairs, ax: Axes | None = None) -> Axes:
    """The picture of `disagreement` from a (members, members) matrix that is already there."""
    return _heatmap(matrix, "Disagreement of members, share of examples", "share of examples", ax, 0.0)


def _heatmap(matrix: Pairs, title: str, unit: str, ax: Axes | None, lowest: float | None = None) -> Axes:
    ax = prepared(ax, title, "member (oldest = 1)", "member (oldest = 1)", width=5.2, height=4.4)
    ax.grid(False)
    first, last = 0.5, len(matrix) + 0.5
    highest = max(float(matrix.max()), (lowest or 0.0) + 1e-9)  # members that never differ are at the lowest end
    image = ax.imshow(matrix, cmap="Blues", vmin=lowest, vmax=highest, extent=(first, last, last, first))
    whole_numbers(ax.xaxis)
    whole_numbers(ax.yaxis)
    if len(matrix) > _LARGEST_LABELLED_MATRIX:
        ax.figure.colorbar(image, ax=ax, label=unit, fraction=0.046, pad=0.04)
        return ax
    for (row, column), value in np.ndenumerate(matrix):
        ink = ink_on(image.to_rgba(value))
        ax.text(column + 1, row + 1, f"{value:.3f}", ha="center", va="center", fontsize="small", color=ink)
    return ax
