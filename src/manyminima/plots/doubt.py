"""Pictures of how far predictions can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREY, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def risk_coverage(coverage: ArrayLike, risk: ArrayLike, ax: Axes | None = None, *, risk_label: str = "error") -> Axes:
    """The error among the surest share of the examples, against that share; lower is better.

    Args:
        coverage: (points,) share of the examples that are answered, 0..1, increasing.
        risk: (points,) their mean error, 0..1 for classes.
        ax: Where to draw. A new figure if None.
        risk_label: What the risk is.

    Raises:
        ValueError: No points, or not one risk for each coverage.

    Example:
        >>> risk_coverage([0.5, 1.0], [0.0, 0.1]).get_xlabel()
        'share of examples answered, surest first'

    Reference:
        El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification.
    """
    coverage, risk = np.asarray(coverage, "float64"), np.asarray(risk, "float64")
    if coverage.shape != risk.shape or coverage.ndim != 1 or coverage.size == 0:
        raise ValueError(
            f"coverage has shape {coverage.shape} and risk {risk.shape}, expected one risk for each coverage."
        )
    ax = prepared(ax, "Leaving out the least sure", "", f"{risk_label} among them (lower is better)")
    ax.set_xlabel("share of examples answered, surest first")
    ax.axhline(risk[-1], color=GREY, linewidth=1, linestyle="--", label="all examples answered")
    ax.plot(coverage, risk, color=BLUE, linewidth=1.8, label="surest examples")
    ax.set_xlim(0, 1.01)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small")
    return ax
