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
    """What identifies the data of a fit: the labels in their order, and how well they were predicted.

    Attributes:
        examples: Number of examples.
        labels: SHA-256 of the labels, in their order.
        score: Score that the prediction had there before the fit, in the unit of what was minimised. Beside equal labels
            it tells other rows with the same labels (sorted ones, all of one class) apart.
    """

    examples: int
    labels: str
    score: float

    @classmethod
    def of(cls, y: ArrayLike, score: float) -> "FittingData":
        """Remember (examples, ...) labels, and the score there before the fit."""
        labels = np.ascontiguousarray(y, dtype=np.float64)
        return cls(len(labels), hashlib.sha256(labels.tobytes()).hexdigest(), float(score))

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
