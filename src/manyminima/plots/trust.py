"""Pictures of how a prediction's probabilities and classes compare with the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima.plots.drawing import BLUE, GREEN, GREY, ORANGE, ink_on, prepared
from manyminima.reliability import Bins, bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST_WITH_COUNTS = 20
_LARGEST_DOT = 160  # square points
_CELL = 0.34  # inches


def reliability(y: ArrayLike, probs: ArrayLike, ax: Axes | None = None) -> Axes:
    """How often a prediction is right against how sure it is: the closer to the diagonal, the better calibrated.

    Dots are as large as the share of examples in them.

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes) of one prediction, rows summing to 1.
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> reliability([0, 1], [[0.9, 0.1], [0.6, 0.4]]).get_xlabel()
        'confidence (probability of the class predicted)'

    Reference:
        Guo et al. 2017, On Calibration of Modern Neural Networks, figure 1.
    """
    return reliability_curves({"prediction": bins(y, probs)}, ax)


def reliability_curves(found: Mapping[str, Bins], ax: Axes | None = None) -> Axes:
    """The picture of `reliability` for several predictions by name, from bins that are already there."""
    ax = prepared(ax, "Reliability", "confidence (probability of the class predicted)", "accuracy", 5.2, 4.4)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="calibrated")
    for (name, one), colour, style in zip(found.items(), (BLUE, ORANGE, GREEN), ("o-", "s--", "^:"), strict=False):
        ax.plot(one.confidence, one.accuracy, style[1:], color=colour, linewidth=1.4)
        sizes = np.maximum(_LARGEST_DOT * np.asarray(one.share), 8)
        ax.scatter(one.confidence, one.accuracy, s=sizes, color=colour, marker=style[0], label=name, zorder=2.5)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02))
    legend = ax.legend(frameon=False, fontsize="small", loc="upper left")
    for handle in legend.legend_handles[1:]:
        handle.set_sizes([40])  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]  of a scatter
    return ax


def predicted(y: ArrayLike, predictions: ArrayLike, ax: Axes | None = None, *, deviations: ArrayLike = ()) -> Axes:
    """Predicted numbers against labels: on the diagonal they are right.

    Args:
        y: (examples,) labels.
        predictions: (examples,) of one target, in the same unit.
        ax: Where to draw. A new figure if None.
        deviations: (examples,) of the members around their mean, drawn as bars; none if empty.

    Raises:
        ValueError: Not one prediction, or not one deviation, for each label.

    Example:
        >>> predicted([1.0, 2.0], [1.1, 1.8]).get_ylabel()
        'predicted'
    """
    y, predictions, deviations = (np.asarray(one, "float64") for one in (y, predictions, deviations))
    if y.ndim != 1 or not y.size or predictions.shape != y.shape or deviations.shape not in (y.shape, (0,)):
        raise ValueError(
            f"y has shape {y.shape}, predictions {predictions.shape} and deviations {deviations.shape}: expected one of each "
            "for each example."
        )
    ax = prepared(ax, "Predicted against label", "label", "predicted", 5.2, 4.4)
    ends = [min(y.min(), predictions.min()), max(y.max(), predictions.max())]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="right")
    if deviations.size:
        low, high = predictions - deviations, predictions + deviations
        ax.vlines(y, low, high, color=BLUE, alpha=0.35, linewidth=1, label="± deviation of the members")
    ax.plot(y, predictions, "o", color=BLUE, markersize=3, label="one example")
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    return ax


def confusion(y: ArrayLike, probs: ArrayLike, ax: Axes | None = None, *, classes: Sequence[str] = ()) -> Axes:
    """What the examples of each class are taken for: counts, coloured by their share of the row.

    Args:
        y: (examples,) class numbers.
        probs: (examples, classes) of one prediction.
        ax: Where to draw. A new figure if None.
        classes: Their names; numbers if there are none.

    Raises:
        ValueError: Not one row of probabilities for each label, or not one name for each class.

    Example:
        >>> confusion([0, 1], [[0.9, 0.1], [0.6, 0.4]]).get_xlabel()
        'predicted'
    """
    from sklearn.metrics import confusion_matrix

    y, probs = np.asarray(y), np.asarray(probs)
    if y.ndim != 1 or probs.ndim != 2 or len(y) != len(probs) or not y.size:
        raise ValueError(
            f"y has shape {y.shape} and probs {probs.shape}, expected (examples,) and (examples, classes)."
        )
    count = probs.shape[-1]
    counts = confusion_matrix(y, probs.argmax(axis=-1), labels=range(count))
    return confusion_map(counts, [str(name) for name in classes] or [str(n) for n in range(count)], ax)


def confusion_map(counts: ArrayLike, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """The picture of `confusion` from (classes, classes) counts that are already there."""
    counts = np.asarray(counts, "float64")
    if counts.shape != (len(names), len(names)):
        raise ValueError(
            f"counts has shape {counts.shape}, and there are {len(names)} names: expected one for each class."
        )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    ax = prepared(ax, "Confusion", "predicted", "label", *confusion_size(len(names)))
    ax.grid(False)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the label's examples", fraction=0.046, pad=0.04)
    places = range(len(names))
    long = max(map(len, names)) > 2
    ax.set_xticks(places, names, rotation=90 if long else 0, parse_math=False)
    ax.set_yticks(places, names, parse_math=False)
    ax.spines[:].set_visible(False)
    if len(names) <= _LARGEST_WITH_COUNTS:
        for (row, column), value in np.ndenumerate(counts):
            if value:
                ink = ink_on(image.to_rgba(shares[row, column]))
                text = f"{value:,.0f}" if value == round(value) else f"{value:.1f}"
                ax.text(column, row, text, ha="center", va="center", fontsize="x-small", color=ink)
    return ax


def confusion_size(classes: int) -> tuple[float, float]:
    """Width and height of the picture of `confusion`, in inches."""
    side = 1.9 + _CELL * classes
    return max(side + 0.7, 5.2), max(side, 3.2)
