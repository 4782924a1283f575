"""How the members of an ensemble make one prediction: coefficients, and a calibrator behind them, fitted on held-out rows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima import calibrate as calibrators
from manyminima import combine
from manyminima.arrays import CLASSIFICATION, TASKS, PerMember, Problem, as_problem
from manyminima.calibrate import Isotonic, Temperature
from manyminima.selection import Selection, fit_coefficients, greedy, newest
from manyminima.sharpness import HIGHEST, LOWEST

__all__ = ["CALIBRATORS", "COEFFICIENTS", "Combination"]

COEFFICIENTS = ("uniform", "fitted", "greedy", "newest")
CALIBRATORS = ("none", "temperature", "isotonic")
_FORMAT = 1
_WAYS = {"fitted": fit_coefficients, "greedy": greedy, "newest": newest}
# Two classes may be one unit or two; one unit of several, each a yes or no, is a label.
_SAME_TASK = {"multiclass": ("multiclass", "binary"), "binary": ("multiclass", "binary", "multilabel")}
_FIT_ONE = "Fit one to its predictions: mm.Combination.fit(y_val, ensemble.predict_members(x_val))."
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
        problem = as_problem(y, probs, task, sample_weight)
        if problem.task == "regression" and calibrate != "none":
            raise ValueError(
                f"calibrate={calibrate!r} is for probabilities, not for regression: pass calibrate='none'."
            )
        labels, options = _labels(problem, probs), {"task": problem.task, "sample_weight": sample_weight}
        way = _WAYS.get(coefficients)
        chosen = cls(way(labels, probs, **options) if way else None)
        if calibrate == "none":
            return chosen
        return cls(chosen.selection, getattr(calibrators, calibrate)(labels, chosen(probs), **options))

    def __call__(self, probs: ArrayLike) -> combine.OnePrediction:
        """Return the one prediction, (..., classes) float64, of predictions of (members, ..., classes)."""
        mixed = combine.mean(probs) if self.selection is None else self.selection.combine(probs)
        return mixed if self.calibrator is None else self.calibrator(mixed)

    def coefficients(self, members: int) -> PerMember:
        """Return the coefficients of so many members, (members,), sum 1."""
        return np.full(members, 1 / members) if self.selection is None else self.selection.coefficients

    def check_unseen(self, y: ArrayLike, probs: ArrayLike) -> None:
        """Raise ValueError if these (members, examples, ..., classes), in any order, are what a part of it was fitted on."""
        if self.selection is not None:
            self.selection.score_on(_labels(as_problem(y, probs, self.selection.task), probs), probs)
        if self.calibrator is not None:
            self.calibrator.score(y, Combination(self.selection)(probs))

    def check_fits(self, members: int, task: str | None) -> None:
        """Raise ValueError if it is not one for so many members, or not one for this task (None: not known yet)."""
        count = members if self.selection is None else len(self.selection.coefficients)
        if count != members:
            raise ValueError(f"the combination is of {count} members, and this ensemble has {members}. {_FIT_ONE}")
        known = None if self.calibrator is None else self.calibrator.task
        if known and task and known not in _SAME_TASK.get(task, (task,)):
            raise ValueError(f"the calibrator is for the task {known!r}, and this ensemble's is {task!r}. {_FIT_ONE}")

    @property
    def label(self) -> str:
        """What it is in a few words, such as "fitted coefficients, temperature 1.23"."""
        coefficients = "equal" if self.selection is None else self.selection.method
        if isinstance(self.calibrator, Temperature):
            return f"{coefficients} coefficients, temperature {short(self.calibrator.temperature)}"
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
        text = Path(path).read_bytes()
        try:
            data = json.loads(text, parse_constant=_no_number)
            if data["format"] != _FORMAT:
                raise ValueError(f"it has format {data['format']!r}, and this version reads format {_FORMAT}")
            return cls(_selection_of(data["selection"]), _calibrator_of(data["calibrator"]), _hashes(data["members"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"'{path}' is no combination that this version reads ({_in_short(error)}). Delete it, then fit anew, as "
                "`manyminima evaluate RUN --coefficients fitted` does."
            ) from error


def short(temperature: float) -> str:
    """A temperature as text, three digits.

    >>> short(1.2), short(100.0), short(0.01)
    ('1.20', '100', '0.0100')
    """
    return f"{temperature:#.3g}".rstrip(".")


def _labels(problem: Problem, probs: ArrayLike) -> np.ndarray:
    """Labels in one layout, (examples, ...), whichever they came in, so that the same data are known again."""
    shape = np.shape(probs)[1:]
    return problem.y.reshape(shape if problem.task in ("multilabel", "regression") else shape[:-1])


# -- what a file holds, checked before it is used ------------------------------------------------------------------------


def _selection_of(data: dict[str, Any] | None) -> Selection | None:
    if data is None:
        return None
    found = Selection.from_dict(data)
    found.combine(np.zeros((len(found.coefficients), 1)))  # says what is wrong with the coefficients
    _one_of(found.metric, ("nll", "squared_error"), "metric")
    _one_of(found.task, (*TASKS, None), "task")
    _check_numbers(found, "score", "uniform", "best_single", "shrinkage", *([] if found.gap is None else ["gap"]))
    if not isinstance(found.reason, str):
        raise ValueError(f"its reason is {found.reason!r}")
    return found


def _calibrator_of(data: dict[str, Any] | None) -> Temperature | Isotonic | None:
    if data is None:
        return None
    _one_of(data["kind"], tuple(_CLASSES), "kind")
    found = _CLASSES[data["kind"]].from_dict({name: value for name, value in data.items() if name != "kind"})
    _one_of(found.task, CLASSIFICATION, "task")
    if type(found.classes) is not int or found.classes < 1:
        raise ValueError(f"its classes are {found.classes!r}")
    _check_numbers(found, "before", "after")
    if isinstance(found, Isotonic):
        _check_curves(found)
    else:
        _check_numbers(found, "temperature")
        if not LOWEST / 2 < found.temperature < HIGHEST * 2:
            raise ValueError(f"its temperature is {found.temperature}, expected {LOWEST:g} to {HIGHEST:g}")
    return found


def _check_curves(found: Isotonic) -> None:
    _check_numbers(found, "floor")
    expected = 1 if found.classes == 2 and found.task != "multilabel" else found.classes
    if not len(found.inputs) == len(found.outputs) == expected or not 0 < found.floor < 1:
        raise ValueError(f"it has {len(found.inputs)} curves and a floor of {found.floor}")
    for corners in zip(found.inputs, found.outputs, strict=True):
        x, y = (np.asarray(values, dtype=np.float64) for values in corners)
        if not (x.shape == y.shape and x.size and np.all(np.diff(x) >= 0) and np.all((y >= 0) & (y <= 1))):
            raise ValueError("one of its curves is damaged")


def _check_numbers(found: Any, *names: str) -> None:
    for name in names:
        value = getattr(found, name)
        if type(value) not in (int, float) or not np.isfinite(float(value)):
            raise ValueError(f"its {name} is {value!r}")


def _hashes(members: Any) -> tuple[str, ...]:
    if not isinstance(members, list) or not all(isinstance(one, str) for one in members):
        raise ValueError("its members are no hashes")
    return tuple(members)


def _no_number(token: str) -> float:
    raise ValueError(f"it holds {token}")


def _in_short(error: Exception) -> str:
    text = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} …"


def _one_of(value: Any, known: tuple[str | None, ...], name: str) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} is not known. Choose one of {', '.join(map(repr, known))}.")
