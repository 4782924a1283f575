"""Data that coefficients or a calibrator were fitted on: remembered, not kept, so that nothing is scored on it by mistake."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["FittingData"]

_SAME_SCORE = 1e-6


@dataclass(frozen=True)
class FittingData:
    """What identifies the data of a fit, in any order: the labels, and how well they were predicted.

    A part of the data, or rows that are only partly the same, are not noticed.

    Attributes:
        examples: Number of examples.
        labels: SHA-256 of the labels, sorted.
        score: Score that the prediction had there before the fit, in the unit of what was minimised. Beside equal labels
            it tells other rows with the same labels (sorted ones, all of one class) apart.
    """

    examples: int
    labels: str
    score: float

    def __post_init__(self):
        kinds = {"examples": int, "labels": str, "score": float | int}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(
                    f"{name} of the fitting data is {getattr(self, name)!r}: pass what to_dict() returned."
                )

    @classmethod
    def of(cls, y: ArrayLike, score: float) -> "FittingData":
        """Remember (examples, ...) labels, and the score there before the fit."""
        labels = np.asarray(y, dtype=np.float64) + 0.0  # -0.0 is 0.0
        rows = np.ascontiguousarray(labels.reshape(len(labels), -1))
        ordered = np.sort(rows.view(f"V{rows.shape[1] * rows.itemsize}"), axis=0)
        return cls(len(rows), hashlib.sha256(ordered.tobytes()).hexdigest(), float(score))

    def is_same(self, y: ArrayLike, score: float) -> bool:
        """Tell whether these labels, predicted with this score before the fit, are the data of the fit."""
        other = FittingData.of(y, score)
        close = abs(self.score - other.score) <= _SAME_SCORE * max(1.0, abs(self.score))
        return (self.examples, self.labels) == (other.examples, other.labels) and close

    def check_unseen(self, y: ArrayLike, score: float, what: str) -> None:
        """Raise ValueError if these are the data of the fit; `what` was fitted, such as "the temperature"."""
        if self.is_same(y, score):
            raise ValueError(
                f"{what} was fitted on these {self.examples} examples, so a score on them says nothing about others. "
                "Score it on rows that nothing was trained, fitted or chosen on, or say on_fitting_data=True to see the "
                "score of the fit."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `FittingData(**data)` is the way back."""
        return asdict(self)
