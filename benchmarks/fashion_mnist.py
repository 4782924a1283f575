"""Do snapshots help on Fashion-MNIST? One run of five cycles against one ordinary run of the same length.

For each seed two networks are trained from the same initial weights on the same order of batches, for the same number of
steps at the same peak rate: one with five cosine cycles, one with a single cosine cycle. Reported on the test set: error
and NLL of the last member, of the ensemble, and of the single run; differences are paired by seed, with a Student interval.
Nothing is chosen by looking at the test set: the peak rate, the network and the number of cycles were fixed beforehand.

    python benchmarks/fashion_mnist.py --seeds 3 --json fashion.json
"""

import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from fashion_table import run, scores

import manyminima as mm

EPOCHS, BATCH, PEAK, CYCLES = 10, 128, 0.1, 5
REFERENCE = "single run, one cycle"


def train(data: mm.datasets.Dataset, seed: int, cycles: int) -> np.ndarray:
    """Return the members' test probabilities, (cycles, examples, classes)."""
    keras.utils.set_random_seed(seed)
    model = mm.zoo.build("cnn", data)
    assert model.count_params() < 100_000
    model.compile(optimizer=keras.optimizers.SGD(momentum=0.9), loss="sparse_categorical_crossentropy")
    collect = mm.Collect(mm.recipes.snapshot(cycles=cycles, peak=PEAK))
    batches = mm.datasets.Batches(data.x_train, data.y_train, BATCH, seed=seed)
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[collect])
    return mm.Ensemble(model, collect.members).predict_members(data.x_test)


def one_seed(data, seed: int) -> dict[str, dict[str, float]]:
    begin = time.perf_counter()
    members, single = train(data, seed, CYCLES), train(data, seed, 1)
    print(f"  seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    return {
        "last member": scores(data.y_test, members[-1]),
        "ensemble of 5": scores(data.y_test, mm.combine.mean(members)),
        "newest 3 of 5": scores(data.y_test, mm.combine.mean(members[-3:])),
        REFERENCE: scores(data.y_test, single[-1]),
    }


if __name__ == "__main__":
    run(__doc__, one_seed, REFERENCE)
