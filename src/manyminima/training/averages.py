"""The averaging folds of one Collect during one `fit`: which of them the training step updates, and what they hold now."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from manyminima.averaging.folds import Average
from manyminima.runs.format import Weights
from manyminima.training.diverged import Finite
from manyminima.training.instep import InStep

__all__ = ["Averages", "check", "check_once", "check_times"]


def check(folds: Sequence, validation_data: Any) -> None:
    """Raise ValueError if an average is named twice, or validation of one is asked for and no fold makes one."""
    check_once(folds)
    if validation_data is None:
        return
    from manyminima.training import validate

    if not any(isinstance(fold, Average) for fold in folds):
        raise ValueError(
            "validation_data is for the average that a fold makes, and into= names none: write into=mm.Ema(0.999), or into="
            '["runs/x", mm.Mean()]. For the model itself pass validation_data to fit.'
        )
    validate.check(validation_data)


def check_once(folds: Sequence) -> None:
    """Raise ValueError if an average would get everything twice."""
    averaging = [id(fold) for fold in folds if isinstance(fold, Average)]
    if len(set(averaging)) < len(averaging):
        raise ValueError("into= names the same average twice: leave one out, or make two of them.")


class Averages:
    """What the averaging folds hold; `validation_data`, if given, is for the first of them.

    Attributes:
        written: the step of the newest collection.
    """

    def __init__(
        self, model: keras.Model, folds: Sequence, total: int, validation_data: Any, *, finite: Finite, owner: Any
    ):
        self._model = model
        averaging = [fold for fold in folds if isinstance(fold, Average)]
        clocked = [fold for fold in averaging if fold.every is not None]
        self._instep = {id(fold): InStep(model, fold, round(fold.start * total), owner) for fold in clocked}
        if clocked:
            model.make_train_function(force=True)
        self._clocked, self._first = clocked, averaging[0] if averaging else None
        self._total, self.written = total, 0
        self._finite = finite
        self._validation_data, self._validator = validation_data, None

    def hand_over(self, fold: Any, weights: Weights, step: int, about: Mapping[str, Any]) -> None:
        """Give a fold what is collected: the weights, or the average that was taken of them."""
        self.written = step
        if id(fold) in self._instep:
            average = self._instep[id(fold)].weights(list(weights))
            if problem := self._finite.problem(average):
                fold.leave_out(step, f"the average was not finite: {problem}")
            else:
                fold.put(average, step, **about)
        else:
            fold.add(weights, step, **about)

    def complete(self, step: int, about: Mapping[str, Any]) -> None:
        """Hand over the averages of a training that ended early, since their last collection."""
        if self.written < step < self._total:
            for fold in self._clocked:
                self.hand_over(fold, self._model.get_weights(), step, about)

    def present(self) -> Weights:
        """Return what the first averaging fold holds; the model's own weights while that is nothing."""
        newest = self._model.get_weights()
        if self._first is None:
            return newest
        instep = self._instep.get(id(self._first))
        return instep.weights(newest) if instep else (self._first.average or newest)

    def logs(self) -> dict[str, float]:
        """Return loss and metrics of the present average on the validation data, if there are any."""
        if self._validation_data is None:
            return {}
        if self._validator is None:
            from manyminima.training.validate import Validator

            self._validator = Validator(self._model, self._validation_data)
        return self._validator(self.present())

    def remove(self) -> None:
        """Take the averages out of the optimizer."""
        for instep in self._instep.values():
            instep.remove()
        if self._instep:
            self._model.make_train_function(force=True)


def check_times(folds: Sequence, total: int, first_due: int, optimizer: Any) -> None:
    """Raise ValueError if an average with a clock of its own would be collected before its first update."""
    for fold in folds:
        if not isinstance(fold, Average) or fold.every is None:
            continue
        together = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        before = int(keras.ops.convert_to_numpy(optimizer._iterations)) % together
        first = (before + round(fold.start * total)) // together * together - before + fold.every * together
        if first > first_due:
            raise ValueError(
                f"{fold} has its first update after step {first}, and the recipe collects after step {first_due} already: there "
                f"would be nothing to collect. Lower every= or start=, or collect later."
            )
