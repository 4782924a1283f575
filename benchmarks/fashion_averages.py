"""One good model out of one run, on Fashion-MNIST: SWA with and without fresh BatchNormalization, EMA, and their rivals.

Three runs for each seed, from the same first weights and on the same order of batches, for the same number of steps at the
same peak rate: SWA's (whose last weights are a rival too), one cosine cycle with an EMA along, and five cycles for a snapshot
ensemble. Statistics of BatchNormalization are taken from the training images. Reported on the test images; differences to the
single cosine run are paired by seed, with Student's 95 % interval. Nothing was chosen by looking at the test set.

    python benchmarks/fashion_averages.py --seeds 3 --json fashion_averages.json
"""

import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from fashion_table import run, scores

import manyminima as mm

EPOCHS, BATCH, PEAK, DECAY = 10, 128, 0.1, 0.998
REFERENCE = "single run, one cosine cycle"


def network() -> keras.Model:
    """A convolutional network with BatchNormalization, 33,882 parameters."""
    blocks = []
    for filters, stride in ((16, 2), (32, 2), (64, 2)):
        blocks += [
            keras.layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    head = [keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Rescaling(1 / 255), *blocks, *head])


def train(data: mm.datasets.Dataset, seed: int, recipe, into) -> tuple[keras.Model, mm.Collect]:
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile(optimizer=keras.optimizers.SGD(momentum=0.9), loss="sparse_categorical_crossentropy")
    collect = mm.Collect(recipe, into=into)
    batches = mm.datasets.Batches(data.x_train, data.y_train, BATCH, seed=seed)
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[collect])
    return model, collect


def one_seed(data, seed: int) -> dict[str, dict[str, float]]:
    begin = time.perf_counter()
    mean, ema = mm.Mean(), mm.Ema(DECAY)
    swa, _ = train(data, seed, mm.recipes.swa(peak=PEAK), [mean])
    single, _ = train(data, seed, mm.recipes.snapshot(cycles=1, peak=PEAK), [ema])
    cycles, snapshots = train(data, seed, mm.recipes.snapshot(cycles=5, peak=PEAK), None)

    def fresh(weights):
        return mm.refresh_batchnorm(single, weights, data.x_train, batch_size=BATCH)

    (averaged,), (moving,) = list(mean), list(ema)
    models = {
        "SWA, statistics refreshed": fresh(averaged),
        "SWA, statistics averaged, not refreshed": averaged,
        "SWA's run, last weights": swa.get_weights(),
        "EMA, statistics refreshed": fresh(moving),
        "EMA, statistics of the last step": moving,
        REFERENCE: single.get_weights(),
    }
    probs = {name: mm.Ensemble(single, [weights]).predict(data.x_test) for name, weights in models.items()}
    probs["snapshot ensemble of 5"] = mm.Ensemble(cycles, snapshots.members).predict(data.x_test)
    print(f"  seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    return {name: scores(data.y_test, p) for name, p in probs.items()}


if __name__ == "__main__":
    run(__doc__, one_seed, REFERENCE)
