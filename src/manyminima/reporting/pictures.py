"""The pictures of a report, each with what it shows in words and the numbers behind it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from manyminima import plots
from manyminima.plots import pairs as pairs_plots
from manyminima.plots import sizes
from manyminima.plots import trust as trust_plots
from manyminima.reporting import words
from manyminima.reporting.against import Against
from manyminima.reporting.calibration import Reliability
from manyminima.reporting.confusion import Confusion
from manyminima.reporting.curves import Curve
from manyminima.reporting.doubt import Doubt, Example
from manyminima.reporting.drawing import COLUMN, Numbers, Picture, svg
from manyminima.reporting.report import Report
from manyminima.reporting.thumbnails import png

__all__ = [
    "against",
    "average",
    "confusion",
    "correlation",
    "curve",
    "disagreement",
    "least_sure",
    "rate",
    "reliability",
    "risk",
    "size",
]

_TALL = (5.2, 4.0)  # inches, where a legend stands below
_SQUARE = (5.2, 4.4)  # inches, beside another square one
_LONGEST_NAME = 13
_MOST_ROWS = 40
_MANY_MEMBERS = 12  # whose matrices are not written out


def rate(curve: dict[str, Any], collected: list[int]) -> Picture:
    """The learning rate of each step, and where members were collected."""
    steps, rates = np.asarray(curve["steps"]), np.asarray(curve["rates"], "float64")
    places = np.clip(np.searchsorted(steps, collected) - 1, 0, None) if len(collected) else []
    at = [float(rates[place]) for place in places]
    found = f", {len(at)} members collected at rates from {min(at):.3g} to {max(at):.3g}" if at else ""
    alt = f"The learning rate lies between {rates.min():.3g} and {rates.max():.3g} over {steps[-1] + 1:,} steps{found}."
    caption = "Learning rate of each step. A dot marks a collected member, at the rate of the last batch it has seen."
    rows = tuple((f"step {step:,}", f"{value:.4g}") for step, value in zip(collected, at, strict=True))
    numbers = Numbers(("member collected after", "learning rate"), _some(rows)) if rows else None
    return Picture(svg(partial(plots.learning_rate, steps, rates, collected), COLUMN), alt, caption, numbers)


def curve(found: Curve) -> Picture:
    """One learning curve."""
    alt = f"{found.metric[:1].upper()}{found.metric[1:]} over {found.at[-1]:g} {found.unit}s: " + "; ".join(
        _course(name, found.at, line, found.unit) for name, line in found.values.items()
    )
    when = "" if found.every_epoch else " when a member is collected"
    caption = (
        f"{found.metric[:1].upper()}{found.metric[1:]}, as Keras logs it{when}. Dotted lines mark collected members."
    )
    head = (found.unit, *found.values)
    points = zip(found.at, *found.values.values(), strict=True)
    rows = tuple((f"{at:g}", *(f"{value:.4f}" for value in line)) for at, *line in points)
    collected = found.collected if found.every_epoch else ()
    lines = {name: np.array(line) for name, line in found.values.items()}
    given = (np.array(found.at), lines, np.array(collected))
    draw = partial(plots.learning_curves, *given, label=found.metric, xlabel=found.unit)
    return Picture(svg(draw, COLUMN), f"{alt}.", caption, Numbers(head, _some(rows)))


def _course(name: str, at: Sequence[float], line: Sequence[float], unit: str) -> str:
    known = [(place, value) for place, value in zip(at, line, strict=True) if np.isfinite(value)]
    low, high = min(known, key=lambda p: p[1]), max(known, key=lambda p: p[1])
    ends = f"{name} from {known[0][1]:.4g} to {known[-1][1]:.4g}"
    return f"{ends}, lowest {low[1]:.4g} at {unit} {low[0]:g}, highest {high[1]:.4g} at {unit} {high[0]:g}"


def size(report: Report, name: str) -> Picture:
    """A score against the number of members, newest first and oldest first, and of each member alone."""
    orders, facts = report.by_size[name], words.facts(name)
    alone = [member.scores[name] for member in report.members]
    newest, oldest, whole = (
        words.amount(name, one) for one in (orders["newest"][0], orders["oldest"][0], orders["newest"][-1])
    )
    alt = (
        f"{facts.title} against ensemble size: {newest} for the newest member, {oldest} for the oldest, {whole} for all "
        f"{len(alone)} combined; {facts.better} is better."
    )
    caption = f"{facts.title} of the mean of n members, newest first and oldest first, and of each member alone."
    head = ("n", "newest n", "oldest n", "n-th alone")
    lines = zip(orders["newest"], orders["oldest"], alone, strict=True)
    rows = tuple((str(n), *(words.score(name, one) for one in line)) for n, line in enumerate(lines, start=1))
    draw = partial(sizes.size_curves, orders["newest"], orders["oldest"], alone, facts)
    return Picture(svg(draw, _TALL), alt, caption, Numbers(head, _some(rows)))


def correlation(report: Report) -> Picture:
    """Pearson's correlation of each pair of members."""
    of = "errors" if report.task == "regression" else "probabilities"
    matrix = np.array(report.correlation)
    alt = f"Correlation of two members' {of}: {_range(matrix, '.4f')}; lower is more diverse."
    draw = partial(pairs_plots.correlation_map, matrix, of=of)
    return Picture(svg(draw), alt, f"How alike two members' {of} are.", _matrix(report, matrix, ".4f"))


def disagreement(report: Report) -> Picture:
    """How often each pair of members predicts different classes."""
    matrix = np.array(report.disagreement)
    alt = f"Share of rows on which two members predict different classes: {_range(matrix, '.2%')}; higher is more diverse."
    caption = "How often two members predict different classes."
    return Picture(svg(partial(pairs_plots.disagreement_map, matrix)), alt, caption, _matrix(report, matrix, ".2%"))


def _range(matrix: np.ndarray, style: str) -> str:
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    return f"from {pairs.min():{style}} to {pairs.max():{style}} over the pairs of {len(matrix)} members"


def _matrix(report: Report, matrix: np.ndarray, style: str) -> Numbers | None:
    if len(matrix) > _MANY_MEMBERS:
        return None
    labels = tuple(member.label for member in report.members)
    rows = tuple((label, *(f"{one:{style}}" for one in row)) for label, row in zip(labels, matrix, strict=True))
    return Numbers(("", *labels), rows)


def reliability(found: Sequence[Reliability]) -> Picture:
    """Confidence against accuracy, before and behind what was fitted."""
    alt = "Accuracy against confidence. " + " ".join(_sureness(one) for one in found)
    caption = "How often predictions are right, by how sure they are. On the dashed line they are as good as they say."
    rows = tuple(
        (one.name, f"{sure:.3f}", f"{right:.3f}", f"{share:.2%}")
        for one in found
        for sure, right, share in zip(one.bins.confidence, one.bins.accuracy, one.bins.share, strict=True)
    )
    draw = partial(trust_plots.reliability_curves, {one.name: one.bins for one in found})
    return Picture(svg(draw), alt, caption, Numbers(("", "confidence", "accuracy", "of the rows"), rows))


def _sureness(found: Reliability) -> str:
    sure, right = (float(np.dot(found.bins.share, one)) for one in (found.bins.confidence, found.bins.accuracy))
    lean = "too sure" if sure > right else "not sure enough"
    return (
        f"{found.name[0].upper()}{found.name[1:]}: mean confidence {sure:.1%}, right in {right:.1%}, so {lean} on the whole; "
        f"expected calibration error {found.ece:.2%}."
    )


def risk(found: Doubt) -> Picture:
    """The error among the surest examples, against their share."""
    alt = (
        f"Error against the share of examples answered, surest first: {found.risk[0]:.2%} for the surest, "
        f"{found.risk[-1]:.2%} for all; area {found.area:.4f}."
    )
    caption = "Errors among the surest share of the examples. The dashed line is the error of all of them."
    shares = np.linspace(0.1, 1, 10)
    places = np.clip(np.searchsorted(found.coverage, shares - 1e-9), 0, len(found.coverage) - 1).tolist()
    rows = tuple((f"{found.coverage[at]:.0%}", f"{found.risk[at]:.2%}") for at in dict.fromkeys(places))
    numbers = Numbers(("answered, surest first", "error among them"), rows)
    draw = partial(plots.risk_coverage, list(found.coverage), list(found.risk))
    return Picture(svg(draw, _SQUARE), alt, caption, numbers)


def against(found: Against) -> Picture:
    """Predicted numbers against labels."""
    explained = "" if found.explained is None else f", of whose variance {found.explained:.1%} is explained"
    lean = f"predictions are {abs(found.bias):.4g} too {'high' if found.bias > 0 else 'low'} in the mean"
    ends = f"labels from {min(found.label):.4g} to {max(found.label):.4g}{explained}"
    alt = f"Predicted against label on {found.rows:,} rows: {ends}; {lean}."
    shown = "" if len(found.label) == found.rows else f" {len(found.label)} of {found.rows:,} rows are shown."
    caption = f"The members' mean against the label, with the members' standard deviation.{shown}"
    points = zip(found.label, found.predicted, found.deviation, strict=True)
    rows = tuple((f"{label:.4g}", f"{value:.4g}", f"{around:.4g}") for label, value, around in sorted(points))
    y, predictions, deviations = (np.array(one) for one in (found.label, found.predicted, found.deviation))
    draw = partial(trust_plots.predicted, y, predictions, deviations=deviations)
    return Picture(svg(draw), alt, caption, Numbers(("label", "predicted", "deviation of the members"), _some(rows)))


def confusion(found: Confusion) -> Picture:
    """What the examples of each class are taken for."""
    counts = np.array(found.counts)
    right, total = np.trace(counts), counts.sum()
    worst = "".join(
        f" Most often {pair.label} is taken for {pair.predicted}: {_count(pair.count)} times, {pair.share:.1%} of its examples."
        for pair in found.pairs[:1]
    )
    alt = f"Labels against predictions, {len(counts)} classes: {_count(right)} of {_count(total)} are right.{worst}"
    caption = "Examples by label and by prediction; the shade is the share of the label's examples."
    rows = tuple(
        (name, *map(_count, row), f"{row[at] / row.sum():.1%}" if row.sum() else "")
        for at, (name, row) in enumerate(zip(found.classes, counts, strict=True))
    )
    numbers = Numbers(("label", *(f"as {name}" for name in found.classes), "right"), rows)
    names = [_short(name) for name in found.classes]
    width = trust_plots.confusion_size(len(names))[0]
    return Picture(svg(partial(trust_plots.confusion_map, counts, names)), alt, caption, numbers, width)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def least_sure(report: Report) -> list[Picture]:
    """The inputs of the least sure examples, where they are images."""
    if not report.images or report.doubt is None:
        return []
    return [
        Picture(
            png(picture),
            f"Row {e.row:,}: the label is {e.label}, predicted is {e.predicted} with probability {e.probability:.2f}.",
            f"{_short(e.label)}, {_taken(e)} ({e.probability:.2f})",
        )
        for picture, e in zip(report.images, report.doubt.examples, strict=True)
    ]


def _taken(example: Example) -> str:
    return "rightly" if example.label == example.predicted else f"taken for {_short(example.predicted)}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def average(found: dict[str, Any], name: str) -> Picture:
    """The scores of averages of weights and of predictions against their number."""
    facts = words.facts(name)
    single, weights, predictions = (found[part][name] for part in ("single", "weights", "predictions"))
    alone, by_weights, by_predictions = (
        words.amount(name, one) for one in (single[0], weights["equal"][-1], predictions["equal"][-1])
    )
    alt = (
        f"{facts.title} against the number of newest members: {alone} for the newest alone, {by_weights} for the mean of all "
        f"{len(single)} members' weights, {by_predictions} for the mean of their predictions; {facts.better} is better."
    )
    caption = (
        f"{facts.title} of one model with the newest n members' mean weights, and of the mean of their predictions."
    )
    return Picture(svg(partial(plots.averages, single, weights, predictions, facts)), alt, caption, inches=7.0)


def _some(rows: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """At most forty rows, evenly, the first and the last among them."""
    if len(rows) <= _MOST_ROWS:
        return rows
    return tuple(rows[at] for at in np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int).tolist())
