"""How the members of an ensemble make one prediction: coefficients, and a calibrator behind them, fitted on held-out rows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima import calibrate as calibrators
from manyminima import combine
from manyminima.arrays import PerMember, as_problem
from manyminima.calibrate import Isotonic, Temperature
from manyminima.selection import Selection, fit_coefficients, greedy, newest

__all__ = ["CALIBRATORS", "COEFFICIENTS", "Combination"]

COEFFICIENTS = ("uniform", "fitted", "greedy", "newest")
CALIBRATORS = ("none", "temperature", "isotonic")
_FORMAT = 1
_WAYS = {"fitted": fit_coefficients, "greedy": greedy, "newest": newest}
_CLASSES = {"temperature": Temperature, "isotonic": Isotonic}


@dataclass(frozen=True)
class Combination:
    """From the members' predictions to one: call it with (members, ..., classes), as `Ensemble.predict(combine=…)` does.

    Attributes:
        selection: The coefficients and where they come from; None: equal ones.
        calibrator: What is applied behind them; None: nothing.
        members: Hashes of the members it was fitted to, in their order; empty where they are not known.

    Example:
        >>> probs = np.array([[[0.99, 0.01]] * 4, [[0.6, 0.4]] * 4])
        >>> combination = Combination.fit([0, 0, 0, 1], probs, "uniform", "temperature")
        >>> combination(probs)[0].round(2).tolist()
        [0.75, 0.25]
    """

    selection: Selection | None = None
    calibrator: Temperature | Isotonic | None = None
    members: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        y: ArrayLike,
        probs: ArrayLike,
        coefficients: str = "fitted",
        calibrate: str = "temperature",
        *,
        task: str | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> "Combination":
        """Fit coefficients, then a calibrator to what they give, on rows that are neither trained on nor reported on.

        Args:
            y: (examples, ...) labels.
            probs: (members, examples, ..., classes), oldest member first.
            coefficients: "uniform", "fitted" (lowest NLL), "greedy" (Caruana) or "newest" (the best k newest).
            calibrate: "none", "temperature" or "isotonic"; for regression "none".
            task: One of the tasks of `manyminima.arrays`; None infers it from the values.
            sample_weight: (examples,) non-negative.

        Raises:
            ValueError: An unknown way, a calibrator for regression, or arrays that do not fit together.
        """
        _one_of(coefficients, COEFFICIENTS, "coefficients")
        _one_of(calibrate, CALIBRATORS, "calibrate")
        known = as_problem(y, probs, task, sample_weight).task
        if known == "regression" and calibrate != "none":
            raise ValueError(
                f"calibrate={calibrate!r} is for probabilities, not for regression: pass calibrate='none'."
            )
        way, options = _WAYS.get(coefficients), {"task": known, "sample_weight": sample_weight}
        chosen = cls(way(y, probs, **options) if way else None)
        if calibrate == "none":
            return chosen
        return cls(chosen.selection, getattr(calibrators, calibrate)(y, chosen(probs), **options))

    def __call__(self, probs: ArrayLike) -> combine.OnePrediction:
        """Return the one prediction, (..., classes) float64, of predictions of (members, ..., classes)."""
        mixed = combine.mean(probs) if self.selection is None else self.selection.combine(probs)
        return mixed if self.calibrator is None else self.calibrator(mixed)

    def coefficients(self, members: int) -> PerMember:
        """Return the coefficients of so many members, (members,), sum 1."""
        return np.full(members, 1 / members) if self.selection is None else self.selection.coefficients

    def check_unseen(self, y: ArrayLike, probs: ArrayLike) -> None:
        """Raise ValueError if these (members, examples, ..., classes) are the data that a part of it was fitted on."""
        if self.selection is not None:
            self.selection.score_on(y, probs)
        if self.calibrator is not None:
            self.calibrator.score(y, Combination(self.selection)(probs))

    @property
    def label(self) -> str:
        """What it is in a few words, such as "fitted coefficients, temperature 1.23"."""
        coefficients = "equal" if self.selection is None else self.selection.method
        if isinstance(self.calibrator, Temperature):
            return f"{coefficients} coefficients, temperature {self.calibrator.temperature:#.3g}"
        return f"{coefficients} coefficients" + (", isotonic regression" if self.calibrator else "")

    def __str__(self) -> str:
        return "\n".join(
            str(part) for part in (self.selection or "equal coefficients", self.calibrator) if part is not None
        )

    # -- beside a run ------------------------------------------------------------------------------------------------

    def to_json(self, path: str | Path) -> Path:
        """Write it as JSON; folders on the way are made. `runs/x/analysis/combination.json` is used by `mm.load`."""
        data: dict[str, Any] = {"format": _FORMAT, "members": list(self.members)}
        data["selection"] = None if self.selection is None else self.selection.to_dict()
        kind = next((name for name, one in _CLASSES.items() if isinstance(self.calibrator, one)), None)
        data["calibrator"] = None if self.calibrator is None else {"kind": kind, **self.calibrator.to_dict()}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def from_json(cls, path: str | Path) -> "Combination":
        """Read what `to_json` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, or of another format.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            data = json.loads(text)
            if data["format"] != _FORMAT:
                raise ValueError(f"it has format {data['format']}, and this version reads format {_FORMAT}")
            chosen = None if data["selection"] is None else Selection.from_dict(data["selection"])
            return cls(chosen, _calibrator_of(data["calibrator"]), tuple(map(str, data["members"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"'{path}' is no combination that this version reads ({error}). Delete it and fit anew, as "
                "`manyminima evaluate RUN --coefficients fitted` does."
            ) from error


def _calibrator_of(data: dict[str, Any] | None) -> Any:
    if data is None:
        return None
    found = _CLASSES[data["kind"]].from_dict({name: value for name, value in data.items() if name != "kind"})
    if isinstance(found, Temperature) and not 0 < found.temperature < np.inf:
        raise ValueError(f"its temperature is {found.temperature}")
    return found


def _one_of(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} is not known. Choose one of {', '.join(map(repr, known))}.")
