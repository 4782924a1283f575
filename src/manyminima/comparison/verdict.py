"""What a study says in words: which methods beat one ordinary run of the same length, and which gain nothing."""

from collections.abc import Sequence

from manyminima.comparison.results import Difference, Row

__all__ = ["amount", "headline", "label", "notes", "sentence"]

_LABELS = {
    "error": "error",
    "nll": "NLL",
    "calibrated_nll": "calibrated NLL",
    "ece": "ECE",
    "squared_error": "squared error",
}
_NOTES = (
    "Every method had the same budget of epochs; peaks were chosen on validation rows with runs of their own; every score "
    "is of the test rows.",
    "Differences are paired by seed; the 95% intervals cover the luck of training, and each stands for itself: of 20 methods "
    "that change nothing, one is expected to look different.",
)
_CALIBRATED = (
    "Calibrated NLL gives every method its best temperature by cross-validation on the test rows: "
    "a metric, not a calibrator."
)
_NETS = (
    "Worth independent nets: how many fully trained nets of the same budget each have the same calibrated NLL together, "
    "with a 95% interval over {} nets, {} seeds and {:,} test rows; at most {} were put together, + means or more."
)


def label(metric: str) -> str:
    """What a metric of a study is called."""
    return _LABELS[metric]


def amount(metric: str, value: float, *, sign: bool = False) -> str:
    """A score or a difference with its unit.

    >>> amount("error", 0.0412), amount("calibrated_nll", -0.0123, sign=True)
    ('4.12%', '-0.0123')
    """
    plus = "+" if sign else ""
    if metric in ("error", "ece"):
        return f"{100 * value:{plus}.2f}" + (" points" if sign else "%")
    return f"{value:{plus}.4g}" if metric == "squared_error" else f"{value:{plus}.4f}"


def sentence(row: Row) -> str:
    """One method against the single run, in each metric."""
    if row.failed:
        seeds = ", ".join(map(str, row.failed))
        return f"{row.name}: predictions of seeds {seeds} are not finite: training diverged, so there is no comparison."
    return f"{row.name}: " + "; ".join(_compared(metric, d) for metric, d in row.differences.items()) + "."


def _compared(metric: str, d: Difference) -> str:
    mean, low, high = (amount(metric, value, sign=True) for value in (d.mean, d.low, d.high))
    return f"{'no gain' if d.outcome == 'unclear' else d.outcome} in {label(metric)}, {mean} (95% {low} to {high})"


def notes(rows: Sequence[Row]) -> tuple[str, ...]:
    """What the numbers of a study are, and what they do not show."""
    edges = [f"{row.name} ({row.peak:g})" for row in rows if row.at_edge]
    edge = "The chosen peak is the lowest or highest of those tried for {}: try others beyond it.".format(
        ", ".join(edges)
    )
    nets = next((row.equivalent for row in rows if row.equivalent), None)
    return (
        *([edge] if edges else []),
        *([_NETS.format(nets.nets, nets.seeds, nets.examples, nets.largest)] if nets else []),
        *_NOTES,
        *([_CALIBRATED] if "calibrated_nll" in rows[0].scores else []),
    )


def headline(rows: Sequence[Row], metric: str) -> str:
    """The whole answer in one sentence, by one metric.

    Args:
        rows: All methods, the single run first.
        metric: The one that decides.
    """
    others = [row for row in rows[1:] if not row.failed]
    better = sorted(
        (row for row in others if row.differences[metric].outcome == "better"),
        key=lambda row: row.differences[metric].mean,
    )
    worse = [row.name for row in others if row.differences[metric].outcome == "worse"]
    seeds = len(rows[0].scores[metric])
    if not better:
        tail = f" Worse: {', '.join(worse)}." if worse else ""
        return (
            f"No gain: over {seeds} seeds nothing beats one ordinary run of the same length in {label(metric)}.{tail}"
        )
    gains = ", ".join(f"{row.name} ({amount(metric, row.differences[metric].mean, sign=True)})" for row in better)
    return f"Over {seeds} seeds, better than one ordinary run of the same length in {label(metric)}: {gains}."
