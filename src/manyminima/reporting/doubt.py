"""How far the ensemble's own doubt can be trusted, and the examples it doubts most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manyminima import detection, uncertainty
from manyminima.arrays import Problem
from manyminima.combine import mean

__all__ = ["Doubt", "Example", "images_of", "look", "numbered"]

SHOWN = 12
_CURVE_POINTS = 200
_LARGEST_IMAGE = 512


@dataclass(frozen=True)
class Example:
    """One example that the ensemble is unsure of.

    Attributes:
        row: Its place in the data, from 0.
        label: What it is.
        predicted: What the ensemble takes it for.
        probability: Of the class predicted, 0..1.
        total: Entropy of the mean prediction, nats.
        epistemic: The part of it that comes from members differing, nats.
    """

    row: int
    label: str
    predicted: str
    probability: float
    total: float
    epistemic: float


@dataclass(frozen=True)
class Doubt:
    """Uncertainty over all rows, and what it is good for. Means are in nats, of the mean prediction's entropy and its parts.

    Attributes:
        total: Mean entropy of the mean prediction.
        aleatoric: Mean entropy of the members' own predictions.
        epistemic: The difference: what members do not agree on.
        coverage: Share of examples answered, surest first.
        risk: Error rate among them.
        area: Area under risk and coverage; lower is better.
        excess: How much of it is above that of the best order there is.
        errors: How well entropy finds wrong predictions: AUROC, AUPR, FPR95, share; None where there are only right ones.
        examples: The least sure examples, the least sure first; empty where one example has several rows.
    """

    total: float
    aleatoric: float
    epistemic: float
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float
    excess: float
    errors: dict[str, float] | None
    examples: tuple[Example, ...]


def look(problem: Problem, classes: Sequence[Any] | None) -> Doubt | None:
    """The doubt of an ensemble; None for regression, where members give numbers and no probabilities.

    Args:
        problem: Labels and member predictions.
        classes: Names of the classes, if known.
    """
    if problem.task == "regression":
        return None
    combined = mean(problem.probs)
    total, aleatoric = uncertainty.total(problem.probs), uncertainty.aleatoric(problem.probs)
    epistemic = np.maximum(total - aleatoric, 0)
    given = {"task": "multiclass", "sample_weight": problem.sample_weight}
    curve = detection.risk_coverage(problem.y, combined, total, **given)
    found = detection.misclassification(problem.y, combined, total, **given)
    errors = {"auroc": found.auroc, "aupr": found.aupr, "fpr95": found.fpr95, "share": found.share}
    at = np.unique(np.linspace(0, len(curve.coverage) - 1, _CURVE_POINTS).round().astype(int))
    weight = problem.sample_weight
    single = len(problem.group) == problem.group[-1] + 1
    return Doubt(
        *(float(np.average(one, weights=weight)) for one in (total, aleatoric, epistemic)),
        coverage=tuple(curve.coverage[at].tolist()),
        risk=tuple(curve.risk[at].tolist()),
        area=curve.area,
        excess=curve.excess,
        errors=errors if np.isfinite(found.auroc) else None,
        examples=_least_sure(problem, combined, total, epistemic, classes) if single else (),
    )


def _least_sure(problem: Problem, combined, total, epistemic, classes: Sequence[Any] | None) -> tuple[Example, ...]:
    names = classes if classes and problem.task != "multilabel" else ()

    def name(number: int) -> str:
        return str(names[number]) if number < len(names) else str(number)

    y, rows = problem.y, np.argsort(-total, kind="stable")
    rows = (rows if problem.sample_weight is None else rows[problem.sample_weight[rows] > 0])[:SHOWN].tolist()
    return tuple(
        Example(
            row=row,
            label=name(int(y[row])),
            predicted=name(int(combined[row].argmax())),
            probability=float(combined[row].max()),
            total=float(total[row]),
            epistemic=float(epistemic[row]),
        )
        for row in rows
    )


def numbered(doubt: Doubt | None, rows: np.ndarray) -> Doubt | None:
    """The same with the examples' places in the data that the reported rows are a part of, one for each row."""
    if doubt is None:
        return None
    return replace(doubt, examples=tuple(replace(one, row=int(rows[one.row])) for one in doubt.examples))


def images_of(inputs: np.ndarray | None, doubt: Doubt | None) -> tuple[np.ndarray, ...]:
    """The inputs of the least sure examples, where inputs are images: (height, width) or with 1, 3 or 4 channels."""
    if inputs is None or doubt is None or not doubt.examples:
        return ()
    shape = inputs.shape[1:]
    image = len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))
    if not image or min(shape[:2]) < 4 or max(shape[:2]) > _LARGEST_IMAGE or inputs.dtype.kind not in "buif":
        return ()
    return tuple(inputs[example.row] for example in doubt.examples)
