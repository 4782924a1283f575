"""Batches that were trained on before an interruption: they are drawn again, so that the data go on in order, and passed over."""

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["Skipping"]


class Skipping:
    """What stands in for a model's train function until so many batches of an epoch have been passed over.

    Args:
        model: whose train function comes back by itself.
        batches: to pass over, a multiple of `steps_per_execution`.
        then: called with the newest batch before the next one is trained on.
    """

    def __init__(self, model: keras.Model, batches: int, then: Callable[[Any], None]):
        self._model, self._left, self._then = model, batches, then
        self._train, self._newest = model.train_function, None
        model.train_function = self

    def __call__(self, *given: Any) -> Any:
        """Draw the next batches, and give back what was given: JAX passes (state, batches), the others the batches."""
        try:
            if self._left > 0:
                self._draw(given[-1])
                return ({}, given[0]) if len(given) == 2 else {}
            self._then(self._newest)
        except BaseException:
            self.remove()
            raise
        self.remove()
        return self._train(*given)

    def _draw(self, batches: Any) -> None:
        together = self._model.steps_per_execution
        self._left -= together
        drawn = [next(batches) for _ in range(together)] if hasattr(batches, "__next__") else batches  # as torch's are
        self._newest = drawn[-1]

    def remove(self) -> None:
        """Put the train function back, whatever is left to pass over."""
        if self._model.train_function is self:
            self._model.train_function = self._train


def remove_leftover(model: keras.Model) -> None:
    """Put back the train function that an interrupted `fit` has left behind a stand-in."""
    if isinstance(model.train_function, Skipping):
        model.train_function.remove()
