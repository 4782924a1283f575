"""Training on a hundred rows, 7 batches of 16 to an epoch, the last one smaller: what the tests of Collect share."""

import keras

import manyminima as mm
from problems import data

X, Y = data()  # 100 rows: 7 batches of 16, the last one smaller
STEPS = 7
SNAPSHOT = mm.recipes.snapshot(cycles=2, peak=0.1)


def fit(model, *callbacks, epochs=4, **options):
    """Train on the 100 rows, or on `source=`, always in the same order."""
    keras.utils.set_random_seed(1)
    options = {"batch_size": 16, "verbose": 0, **options}
    source = options.pop("source", (X, Y))
    source = source if isinstance(source, tuple) else (source,)
    if len(source) == 1:
        options.pop("batch_size")
    return model.fit(*source, epochs=epochs, callbacks=list(callbacks), **options)


class StopAt(keras.callbacks.Callback):
    """Ends training after so many batches."""

    def __init__(self, step):
        super().__init__()
        self.step, self.seen = step, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.step:
            self.model.stop_training = True


class At:
    """A recipe of a user's own: any object with `plan`."""

    def __init__(self, *steps):
        self.steps = steps

    def plan(self, epochs, steps_per_epoch):
        return mm.recipes.Plan(None, mm.when.At(self.steps))
