"""What a study says in words: which methods beat one ordinary run of the same length, and which gain nothing."""

from collections.abc import Sequence
from math import floor, log10

from manyminima.comparison.results import Difference, Row, holm

__all__ = ["amount", "better", "duration", "headline", "label", "notes", "plus_minus", "sentence"]

_LABELS = {
    "error": "error",
    "nll": "NLL",
    "calibrated_nll": "calibrated NLL",
    "ece": "ECE",
    "squared_error": "squared error",
}
_SURE, _FEW, _ENOUGH = 0.05, 10, 20
_STEP = 10.0  # between peaks to try, at most
_PAIRED = "Differences are paired by seed. The 95% intervals cover the luck of training, not the choice of test rows."
_MANY = (
    "The headline allows for {} comparisons (Holm); in the tables each interval stands for itself: of 20 methods that change "
    "nothing, one is expected to look different."
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


def plus_minus(metric: str, d: Difference) -> tuple[str, str]:
    """A difference and half of its interval's width, without units.

    >>> plus_minus("error", Difference(-0.012, -0.02, -0.004, "better"))
    ('-1.20', '0.80')
    """
    mean = amount(metric, d.mean, sign=True).removesuffix(" points")
    return mean, amount(metric, d.half).removesuffix("%")


def duration(seconds: float) -> str:
    """A time in the units that people use.

    >>> duration(42.3), duration(150), duration(9000)
    ('42 s', '2.5 min', '2.5 h')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def better(rows: Sequence[Row], metric: str) -> list[Row]:
    """The methods that beat the single run by this metric, allowing for how many are compared; the best first."""
    return [row for row in _alone(rows, metric) if row in _believed(rows, metric)]


def _alone(rows: Sequence[Row], metric: str) -> list[Row]:
    found = [row for row in _compared(rows) if row.differences[metric].outcome == "better"]
    return sorted(found, key=lambda row: row.differences[metric].mean)


def _believed(rows: Sequence[Row], metric: str) -> list[Row]:
    others = _compared(rows)
    raised = holm([row.differences[metric].p for row in others])
    return [row for row, p in zip(others, raised, strict=True) if p < _SURE]


def _compared(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows[1:] if not row.failed]


def headline(rows: Sequence[Row], metric: str) -> str:
    """The whole answer in few words, by one metric.

    Args:
        rows: All methods, the single run first.
        metric: The one that decides.
    """
    best, believed = better(rows, metric), _believed(rows, metric)
    unsure = [row for row in _alone(rows, metric) if row not in best]
    worse = [row.name for row in believed if row.differences[metric].mean > 0]
    seeds, name = len(rows[0].scores[metric]), label(metric)
    if best:
        gains = ", ".join(f"{row.name} ({_gain(metric, row)})" for row in best)
        return f"Over {seeds} seeds, better than one ordinary run of the same length in {name}: {gains}."
    says = [f"No gain: over {seeds} seeds nothing beats one ordinary run of the same length in {name}."]
    if unsure:
        names = ", ".join(row.name for row in unsure)
        says.append(
            f"Unsure: {names}; taken alone better, but {len(_compared(rows))} methods were compared. More seeds tell."
        )
    return " ".join([*says, *([f"Worse: {', '.join(worse)}."] if worse else [])])


def _gain(metric: str, row: Row) -> str:
    return "{} ± {}{}".format(
        *plus_minus(metric, row.differences[metric]), " points" if metric in ("error", "ece") else ""
    )


def sentence(row: Row) -> str:
    """One method against the single run, in each metric."""
    if row.failed:
        seeds = _listed(row.failed)
        return f"{row.name}: diverged at peak {row.peak:g} with {seeds}, so it is compared in nothing."
    by_outcome = {"better": "better in", "worse": "worse in", "unclear": "no gain in"}
    found = [
        f"{words} {', '.join(label(metric) for metric in names)}"
        for outcome, words in by_outcome.items()
        if (names := [metric for metric, d in row.differences.items() if d.outcome == outcome])
    ]
    return f"{row.name}: {'; '.join(found)}."


def _listed(seeds: Sequence[int], most: int = 8) -> str:
    named = ", ".join(map(str, seeds[:most])) + (f" and {len(seeds) - most} more" if len(seeds) > most else "")
    return f"seed{'s' if len(seeds) > 1 else ''} {named}"


def notes(rows: Sequence[Row], budget: int) -> tuple[str, ...]:
    """What the numbers of a study are, and what they do not show.

    Args:
        rows: All methods, the single run first.
        budget: Epochs of each method.
    """
    scores, seeds = rows[0].scores, len(next(iter(rows[0].scores.values())))
    nets = next((row.equivalent for row in rows if row.equivalent), None)
    return (
        *_peak_notes(rows),
        *_few_seeds(seeds),
        _budget(rows, budget),
        _PAIRED,
        *([_MANY.format(len(_compared(rows)))] if len(_compared(rows)) > 1 else []),
        *([_CALIBRATED] if "calibrated_nll" in scores else []),
        *([_NETS.format(nets.nets, nets.seeds, nets.examples, nets.largest)] if nets else []),
    )


def _peak_notes(rows: Sequence[Row]) -> list[str]:
    edges = [f"{row.name} ({row.peak:g})" for row in rows if row.at_edge]
    diverged = [
        f"{row.name} at {tried.peak:g} ({len(tried.diverged)} runs)"
        for row in rows
        for tried in row.tried
        if tried.diverged
    ]
    said = []
    if edges:
        beyond = ", ".join(f"{peak:g}" for peak in _wider(rows))
        said.append(
            f"The chosen peak is the lowest or highest of those tried for {', '.join(edges)}: the best may lie beyond. "
            f"Try {beyond}."
        )
    if diverged:
        said.append(
            f"Diverged while peaks were chosen, so that peak was not taken where another was: {', '.join(diverged)}."
        )
    return said


def _wider(rows: Sequence[Row]) -> list[float]:
    """The peaks tried, and one more at each end at which one was chosen, as far away as its neighbour, within reason."""
    peaks = sorted({tried.peak for row in rows for tried in row.tried})
    chosen = {row.peak for row in rows if row.at_edge}
    lower = [peaks[0] / min(peaks[1] / peaks[0], _STEP)] if peaks[0] in chosen else []
    higher = [peaks[-1] * min(peaks[-1] / peaks[-2], _STEP)] if peaks[-1] in chosen else []
    return [*map(_round, lower), *peaks, *map(_round, higher)]


def _round(rate: float) -> float:
    """The nearest of 0.01, 0.02, 0.03, 0.05, 0.1 and so on.

    >>> _round(0.009), _round(0.9), _round(0.0027)
    (0.01, 1.0, 0.003)
    """
    power = floor(log10(rate))
    return min((float(f"{n}e{power}") for n in (1, 2, 3, 5, 10)), key=lambda near: abs(log10(near / rate)))


def _few_seeds(seeds: int) -> list[str]:
    return [f"{seeds} seeds are few, and intervals are wide: {_ENOUGH} tell more."] if seeds < _FEW else []


def _budget(rows: Sequence[Row], budget: int) -> str:
    short = [f"{row.name} {row.runs} × {row.epochs}" for row in rows if row.runs * row.epochs != budget]
    rest = f", or the most below it that its runs can share: {', '.join(short)}" if short else ""
    chosen = "; peaks were chosen on validation rows, with runs of their own" if any(row.tried for row in rows) else ""
    return f"Every method had the same budget, {budget} epochs{rest}{chosen}. Every score is of the test rows."
