"""Pictures: each function draws on the Axes it is given, or on a figure of its own, and returns the Axes.

A figure of its own is never registered with pyplot, so nothing pops up and nothing has to be closed:

```python
plots.score_by_size(y, probs).figure.savefig("sizes.png")
```
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima import diversity, metrics, selection
from manyminima.arrays import Pairs, as_problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["averages", "barrier", "correlation", "disagreement", "learning_rate", "score_by_size"]

BLUE, ORANGE, GREEN, GREY = "#3f7fc4", "#d07a28", "#3f9c6b", "#8a929b"
_LARGEST_LABELLED_MATRIX = 12


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
    ax = _prepared(ax, "Learning rate", "step (batches)", "learning rate")
    ax.plot(steps, rates, color=BLUE, linewidth=1.6, label="learning rate")
    if collected.size:
        at = np.clip(np.searchsorted(steps, collected) - 1, 0, None)
        ax.vlines(collected, 0, rates[at], color=GREY, linewidth=0.6, linestyle=":")
        ax.plot(collected, rates[at], "o", color=ORANGE, markersize=6, label="member collected", clip_on=False)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    return ax


def score_by_size(y: ArrayLike, probs: ArrayLike, metric: metrics.Metric = metrics.nll, ax: Axes | None = None) -> Axes:
    """The score of the mean of n members, newest first and oldest first, with each member alone as a dot.

    Args:
        y: (examples,) labels, or what the task has.
        probs: (members, examples, classes), oldest member first.
        metric: One of `manyminima.metrics`.
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: The arrays do not fit together.

    Example:
        >>> probs = np.array([[[0.5, 0.5]], [[0.9, 0.1]]])
        >>> score_by_size([0], probs).get_ylabel()
        'NLL (nats, lower is better)'
    """
    newest = selection.scores_by_size(y, probs, metric)
    oldest = selection.scores_by_size(y, probs, metric, order="oldest")
    problem = as_problem(y, probs, "regression" if metric.facts.tasks == ("regression",) else None)
    alone = [metric(problem.y, member) for member in problem.probs]
    return size_curves(newest, oldest, alone, metric.facts, ax)


def size_curves(
    newest: ArrayLike, oldest: ArrayLike, alone: ArrayLike, facts: metrics.Facts, ax: Axes | None = None
) -> Axes:
    """The picture of `score_by_size` from scores that are already there.

    Args:
        newest: (members,) scores of the n newest members combined.
        oldest: (members,) scores of the n oldest members combined.
        alone: (members,) the score of each member, oldest first.
        facts: What the scores are.
        ax: Where to draw. A new figure if None.
    """
    size = np.arange(1, len(np.asarray(alone)) + 1)
    unit = f"{facts.unit}, " if facts.unit else ""
    ax = _prepared(ax, facts.title, "members combined", "")
    ax.set_ylabel(f"{facts.label} ({unit}{facts.better} is better)")
    ax.plot(size, alone, "o", color=GREY, markersize=6, label="n-th member alone")
    ax.plot(size, oldest, "s--", color=ORANGE, linewidth=1.4, markersize=4, label="oldest n combined")
    ax.plot(size, newest, "o-", color=BLUE, linewidth=1.8, markersize=4, label="newest n combined")
    _whole_numbers(ax.xaxis)
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)
    return ax


def averages(
    single: ArrayLike,
    weights: Mapping[str, ArrayLike],
    predictions: Mapping[str, ArrayLike],
    facts: metrics.Facts,
    ax: Axes | None = None,
) -> Axes:
    """The score of the newest n members: alone, as one model of mean weights, and as a mean prediction.

    Solid lines are averages of weights, dashed ones of predictions; one colour for each kind of coefficients. Single members
    so far off that they would flatten the lines are triangles at the edge.

    Args:
        single: (members,) the score of the n-th newest member alone.
        weights: by kind of coefficients, (members,) scores of the average of the newest n members' weights.
        predictions: by kind of coefficients, (members,) scores of the average of their predictions.
        facts: What the scores are, such as `mm.metrics.nll.facts`.
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: Not one score for each member.

    Example:
        >>> scores = {"equal": [0.9, 0.92]}
        >>> averages([0.9, 0.91], scores, scores, metrics.accuracy.facts).get_ylabel()
        'accuracy (share, higher is better)'
    """
    single = np.asarray(single, "float64")
    n = np.arange(1, len(single) + 1)
    unit = f"{facts.unit}, " if facts.unit else ""
    ax = _prepared(ax, f"{facts.title}: weights or predictions averaged", "newest members averaged, n", "")
    ax.set_ylabel(f"{facts.label} ({unit}{facts.better} is better)")
    colours = dict(zip({**weights, **predictions}, itertools.cycle((BLUE, ORANGE, GREEN)), strict=False))
    drawn = []
    for lines, style, what in ((weights, "o-", "weights"), (predictions, "s--", "predictions")):
        for kind, scores in lines.items():
            if np.shape(scores) != n.shape:
                raise ValueError(
                    f"{what}, {kind} has shape {np.shape(scores)}, expected a score for each of {len(n)} members."
                )
            ax.plot(n, scores, style, color=colours[kind], linewidth=1.5, markersize=3.5, label=f"{what}, {kind}")
            drawn.append(scores)
    _dots(ax, n, single, np.array(drawn))
    _whole_numbers(ax.xaxis)
    ax.legend(
        frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=0.4, handlelength=2.8
    )
    return ax


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
    ax = _prepared(
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
    return _heatmap(diversity.softmax_correlation_matrix(probs), "Correlation of probabilities", "Pearson", ax)


def disagreement(probs: ArrayLike, ax: Axes | None = None) -> Axes:
    """A heatmap of the share of examples on which two members predict different classes, 0..1; higher is more diverse.

    Args:
        probs: (members, examples, classes).
        ax: Where to draw. A new figure if None.

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> disagreement([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).get_title("left")
        'Disagreement of members'

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, figure 3.
    """
    return _heatmap(diversity.disagreement_matrix(probs), "Disagreement of members", "share of examples", ax)


def _heatmap(matrix: Pairs, title: str, unit: str, ax: Axes | None) -> Axes:
    ax = _prepared(ax, title, "member (oldest = 1)", "member (oldest = 1)", width=5.2, height=4.4)
    ax.grid(False)
    first, last = 0.5, len(matrix) + 0.5
    image = ax.imshow(matrix, cmap="Blues", extent=(first, last, last, first))
    ax.figure.colorbar(image, ax=ax, label=unit, fraction=0.046, pad=0.04)
    _whole_numbers(ax.xaxis)
    _whole_numbers(ax.yaxis)
    if len(matrix) <= _LARGEST_LABELLED_MATRIX:
        middle = (matrix.min() + matrix.max()) / 2
        for (row, column), value in np.ndenumerate(matrix):
            ink = "white" if value > middle else "black"
            ax.text(column + 1, row + 1, f"{value:.3f}", ha="center", va="center", fontsize="small", color=ink)
    return ax


def _dots(ax: Axes, n: np.ndarray, single: np.ndarray, lines: np.ndarray) -> None:
    """Draw single members as dots, triangles at the edge if the lines would flatten.

    Those are farther from the lines than 3.25 times the lines' range: no whole number, as shares of few examples are steps.
    """
    low, high = (float(lines.min()), float(lines.max())) if lines.size else (0.0, 0.0)
    reach = 3.25 * (high - low) if high - low > 1e-3 * abs(high) else np.inf  # not to magnify rounding
    near = (single >= low - reach) & (single <= high + reach)
    ax.plot(n[near], single[near], "o", color=GREY, markersize=6, label="n-th newest alone", zorder=1.5)
    if near.all():
        return
    low, high = np.min([low, *single[near]]), np.max([high, *single[near]])
    margin = 0.06 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    label = "alone, beyond the edge"
    for beyond, marker, edge in ((single > high, "^", high + margin), (single < low, "v", low - margin)):
        if beyond.any():
            ax.plot(
                n[beyond], np.full(beyond.sum(), edge), marker, color=GREY, markersize=6, fillstyle="none", label=label,
                clip_on=False,
            )  # fmt: skip
            label = "_"  # one entry in the legend for both edges


def _prepared(ax: Axes | None, title: str, xlabel: str, ylabel: str, width: float = 7.0, height: float = 3.4) -> Axes:
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(width, height), layout="constrained").subplots()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def _whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))
