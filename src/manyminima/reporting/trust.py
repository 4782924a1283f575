"""What a report says of coefficients, of ways to ship, and of doubt: as tables and sentences, for terminal and page alike."""

from dataclasses import dataclass

import numpy as np

from manyminima.combination import short
from manyminima.reporting import words
from manyminima.reporting.confusion import Confusion
from manyminima.reporting.doubt import Doubt
from manyminima.reporting.mixed import Mixed
from manyminima.reporting.report import Report
from manyminima.reporting.ways import Way

__all__ = ["TextTable", "coefficients", "confused", "doubts", "least_sure", "mixed_rows", "ship", "ways"]

_AFTER = ("nll", "ece")
_ANSWERED = 0.8


@dataclass(frozen=True)
class TextTable:
    """A table of text: the first column names rows, the others are numbers; notes stand below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def mixed_rows(mixed: Mixed | None) -> list[tuple[str, dict[str, float]]]:
    """What the table of scores shows below the ensemble's mean: each step of the combination, and its scores."""
    if mixed is None:
        return []
    chosen, _, calibrator = mixed.label.partition(", ")
    rows = [] if chosen == "equal coefficients" else [(chosen, mixed.combined)]
    return [*rows, (f"with {calibrator}", mixed.calibrated)] if mixed.calibrated else rows


def coefficients(report: Report) -> TextTable | None:
    """Each member's coefficient, and why; None where no combination was given."""
    mixed = report.mixed
    if mixed is None:
        return None
    rows = tuple(
        (member.label, f"{share:.3f}") for member, share in zip(report.members, mixed.coefficients, strict=True)
    )
    notes = (
        mixed.reason,
        _change(mixed),
        f"On the rows it was fitted on: {mixed.calibrator}." if mixed.calibrator else "",
    )
    return TextTable(f"Combined with {mixed.label}", ("member", "coefficient"), rows, tuple(filter(None, notes)))


def _change(mixed: Mixed) -> str:
    """What calibrating did on the rows of the report."""
    if mixed.calibrated is None:
        return ""
    parts = (
        f"{words.facts(name).label} {words.score(name, mixed.combined[name])} → {words.amount(name, mixed.calibrated[name])}"
        for name in _AFTER
    )
    return f"Calibrating changed, on these rows: {', '.join(parts)}."


def ways(report: Report) -> TextTable | None:
    """Every way to combine the members, with its cost and its scores before and behind a temperature."""
    if report.ways is None:
        return None
    heated = report.ways.ways[0].temperature is not None
    before = ("accuracy", *_AFTER) if heated else tuple(report.ensemble)
    after = ("T", *(f"{words.heading(name)} at T" for name in _AFTER)) if heated else ()
    head = ("", "models", *map(words.heading, before), *after)
    return TextTable(
        f"Ways to combine the members, fitted on {report.ways.validation:,} validation examples"
        + ("; T: temperature" if heated else ""),
        head,
        tuple(_way(way, before) for way in report.ways.ways),
        (
            report.ways.note,
            *dict.fromkeys(
                f"{way.name[0].upper()}{way.name[1:]}: {way.reason}" for way in report.ways.ways if way.reason
            ),
        ),
    )


def _way(way: Way, shown: tuple[str, ...]) -> tuple[str, ...]:
    before = (words.score(name, way.scores[name]) for name in shown)
    after = (
        ()
        if way.temperature is None
        else (short(way.temperature), *(words.score(n, way.calibrated[n]) for n in _AFTER))
    )
    return (way.name, str(way.members), *before, *after)


def ship(report: Report) -> list[tuple[str, str]]:
    """What to ship: a goal, and what reaches it, chosen on the validation rows."""
    return [] if report.ways is None else [(choice.goal, choice.text) for choice in report.ways.choices]


def doubts(doubt: Doubt | None) -> list[str]:
    """What the ensemble's uncertainty is, and what it is good for, in sentences."""
    if doubt is None:
        return []
    found = [
        f"Mean uncertainty {doubt.total:.4f} nats: {doubt.aleatoric:.4f} within members, {doubt.epistemic:.4f} because they "
        "differ."
    ]
    if doubt.errors is None:
        return [*found, "Every prediction is right, or every one wrong: there are no errors to be told from the rest."]
    at = int(np.searchsorted(doubt.coverage, _ANSWERED))
    return [
        *found,
        f"Errors among the surest {doubt.coverage[at]:.0%} of examples: {doubt.risk[at]:.2%}; among all: {doubt.risk[-1]:.2%}. "
        f"Area under risk and coverage {doubt.area:.4f}, {doubt.excess:.4f} above the best order (lower is better).",
        f"Finding wrong predictions by uncertainty: AUROC {doubt.errors['auroc']:.3f} (chance 0.5), AUPR "
        f"{doubt.errors['aupr']:.3f} (chance {doubt.errors['share']:.3f}), {doubt.errors['fpr95']:.1%} of the right ones are "
        "suspected where 95% of the wrong ones are found.",
    ]


def least_sure(doubt: Doubt | None, most: int) -> TextTable | None:
    """The examples that the ensemble is least sure of."""
    if doubt is None or not doubt.examples:
        return None
    rows = tuple(
        (f"row {e.row:,}", e.label, e.predicted, f"{e.probability:.3f}", f"{e.total:.3f}", f"{e.epistemic:.3f}")
        for e in doubt.examples[:most]
    )
    head = ("", "label", "predicted", "with probability", "uncertainty, nats", "of that, members differ")
    return TextTable("The examples it is least sure of", head, rows)


def confused(confusion: Confusion | None) -> TextTable | None:
    """What is confused most often, where there are too many classes for a picture of all counts."""
    if confusion is None or confusion.classes or not confusion.pairs:
        return None
    rows = tuple(
        (f"{pair.label}, taken for {pair.predicted}", f"{pair.count:,.0f}", f"{pair.share:.1%}")
        for pair in confusion.pairs
    )
    return TextTable("What it confuses most often", ("", "examples", "of the label's"), rows)
