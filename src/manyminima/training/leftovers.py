"""What a `fit` that ended in an exception leaves in a model, of which Keras tells no callback."""

import contextlib
from collections.abc import Sequence

import keras

from manyminima.training import instep, rate, skipping

__all__ = ["nothing_left_on_error", "remove_leftovers"]


@contextlib.contextmanager
def nothing_left_on_error(model: keras.Model):
    """Give the optimizer back as it was if we end the `fit` with an error: nobody tells us of its end then."""
    try:
        yield
    except BaseException:
        model._initial_epoch = None
        remove_leftovers(model)
        raise


def remove_leftovers(model: keras.Model, others: Sequence = ()) -> None:
    """Put right what an earlier `fit` left in the model when it ended in an exception; `others` are part of this one."""
    rate.remove_leftover(model, others)
    instep.remove_leftover(model, others)
    skipping.remove_leftover(model)
