"""How numbers and scores are written, so that table, page and verdict say them alike."""

import numpy as np

from manyminima import metrics
from manyminima.arrays import Task


def for_task(task: Task) -> tuple[str, ...]:
    """The names of the metrics that are defined for a task, in the order they are shown."""
    return tuple(name for name in metrics.__all__ if task in facts(name).tasks)


def for_verdict(task: Task) -> tuple[str, ...]:
    """The names of the metrics that a verdict rests on: one proper score, and the share of right answers."""
    return ("squared_error",) if task == "regression" else ("nll", "accuracy")


def facts(metric: str) -> metrics.Facts:
    """What the metric of this name measures."""
    return getattr(metrics, metric).facts


def unit(metric: str) -> str:
    """The unit that `score` writes a metric in: "%" for shares, else the metric's own, or ""."""
    return "%" if facts(metric).unit == "share" else facts(metric).unit


def heading(metric: str) -> str:
    """Column heading: name, unit, and an arrow that points to the better side.

    >>> heading("accuracy"), heading("nll")
    ('accuracy %\\xa0↑', 'NLL nats\\xa0↓')
    """
    arrow = "↓" if facts(metric).better == "lower" else "↑"
    return f"{facts(metric).label} {unit(metric)}".rstrip() + f"\N{NO-BREAK SPACE}{arrow}"


def score(metric: str, value: float) -> str:
    """A score or a difference of scores without its unit.

    >>> score("accuracy", 0.9754), score("nll", 0.08341), score("squared_error", 54321.5), score("squared_error", 0.012)
    ('97.54', '0.0834', '54,322', '0.01200')
    """
    if facts(metric).unit == "share":
        return f"{100 * value:.2f}"
    if np.isfinite(facts(metric).bounds[1]):
        return f"{value:.4f}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:#.4g}".rstrip(".")


def amount(metric: str, value: float) -> str:
    """A score with its unit.

    >>> amount("accuracy", 0.9754), amount("nll", 0.08341)
    ('97.54%', '0.0834 nats')
    """
    return f"{score(metric, value)}{'%' if unit(metric) == '%' else ' ' + unit(metric)}".rstrip()


def difference(metric: str, value: float) -> str:
    """A difference of two scores with its unit: shares differ by percentage points.

    >>> difference("accuracy", 0.0125), difference("nll", 0.08341)
    ('1.25 points', '0.0834 nats')
    """
    return f"{score(metric, value)} {'points' if unit(metric) == '%' else unit(metric)}".rstrip()


def examples(count: int, rows: int) -> str:
    """How many examples there are, and rows where each has several.

    >>> examples(540, 540), examples(1, 1), examples(20, 12800)
    ('540 examples', '1 example', '20 examples (12,800 rows)')
    """
    text = f"{count:,} example{'' if count == 1 else 's'}"
    return text if rows == count else f"{text} ({rows:,} rows)"


def some_sizes(members: int) -> list[int]:
    """At most eight ensemble sizes to show, from one to all.

    >>> some_sizes(5), some_sizes(100)
    ([1, 2, 3, 4, 5], [1, 2, 4, 7, 14, 27, 52, 100])
    """
    if members <= 8:
        return list(range(1, members + 1))
    return sorted({round(size) for size in np.geomspace(1, members, 8).tolist()})
