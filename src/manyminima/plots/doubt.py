"""Pictures of how far predictions can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREY, prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 6


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
    ax = prepared(
        ax, "What leaving out the least sure examples is worth", "", f"{risk_label} among them (lower is better)"
    )
    ax.set_xlabel("share of examples answered, surest first")
    ax.axhline(risk[-1], color=GREY, linewidth=1, linestyle="--", label="all examples answered")
    ax.plot(coverage, risk, color=BLUE, linewidth=1.8, label="surest examples")
    ax.set_xlim(0, 1.01)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small")
    return ax


def images(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """Small pictures in rows of six, each with its caption above; a figure, as there are several Axes.

    Args:
        pictures: Each (height, width), or (height, width, 1 or 3 or 4), finite and of any range; each is scaled by its own.
        captions: One for each, of one or two short lines.

    Raises:
        ValueError: No picture, or not one caption for each.
    """
    if not len(pictures) or len(pictures) != len(captions):
        raise ValueError(
            f"{len(pictures)} pictures and {len(captions)} captions: expected one caption for each picture."
        )
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // _COLUMNS)
    figure = Figure(figsize=(7.0, 1.65 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, picture, caption in zip(axes, pictures, captions, strict=False):
        ax.imshow(_scaled(picture), cmap="gray")
        ax.set_title(caption, fontsize=7, parse_math=False)  # a name may hold any signs
    return figure


def _scaled(picture: np.ndarray) -> np.ndarray:
    picture = np.asarray(picture, "float64")
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low if high > low else 1.0)
