"""Pictures of scores against the number of members."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from manyminima import metrics, selection
from manyminima.arrays import as_problem
from manyminima.plots.drawing import BLUE, GREEN, GREY, ORANGE, prepared, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    ax = prepared(ax, facts.title, "members combined", "")
    ax.set_ylabel(f"{facts.label} ({unit}{facts.better} is better)")
    ax.plot(size, alone, "o", color=GREY, markersize=6, label="n-th member alone")
    ax.plot(size, oldest, "s--", color=ORANGE, linewidth=1.4, markersize=4, label="oldest n combined")
    ax.plot(size, newest, "o-", color=BLUE, linewidth=1.8, markersize=4, label="newest n combined")
    whole_numbers(ax.xaxis)
    ax.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, columnspacing=1)
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
    ax = prepared(ax, f"{facts.title}: weights or predictions averaged", "newest members averaged, n", "")
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
    whole_numbers(ax.xaxis)
    ax.legend(
        frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=0.4, handlelength=2.8
    )
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
