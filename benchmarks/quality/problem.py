"""The task that all methods share: rows, network, budget and seeds.

MNIST-1D has 4,000 training and 1,000 test signals. 800 of the training signals, a fixed stratified fifth, are the validation
rows on which everything is chosen; every net of every method, the reference nets among them, trains on the other 3,200.
"""

import os
from functools import lru_cache
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# Steps of small nets run best on one thread each; several processes fill the cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("MANYMINIMA_QUALITY", "/tmp/quality")
# A process that goes on where another one stopped need not compile anew.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["MANYMINIMA_QUALITY"], "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import keras
import numpy as np

import manyminima as mm
from quality.fresh import fresh

CACHE = Path(os.environ["MANYMINIMA_QUALITY"])
EPOCHS, BATCH, MOMENTUM, L2 = 60, 100, 0.9, 5e-4
TRAINED_ON = 3200  # rows

FINAL = range(20)
PEERS_FINAL = range(10)  # one run of theirs takes five of ours
SEARCH = range(1000, 1004)
NETS = range(5000, 5060)  # fully trained reference nets
NETS_TUNED = NETS[:16]  # of which a peak is chosen where four seeds cannot tell
EMA_NETS = range(6000, 6060)  # reference nets that are moving averages
_RUN = 10_000  # seeds of a method's second run begin here, those of its third at twice this, and so on


@lru_cache(maxsize=1)
def data() -> mm.datasets.Dataset:
    """MNIST-1D, split with seed 0."""
    return mm.datasets.load("mnist1d")


def network() -> keras.Model:
    """The Conv1D of 5,210 parameters. L2 is what PyTorch calls weight_decay: it adds L2 · w to the gradient of every weight."""
    model = mm.zoo.cnn1d((40,), 10, adapt_to=data().x_train)
    for variable in model.trainable_variables:
        variable.regularizer = keras.regularizers.L2(L2 / 2)
    optimizer = keras.optimizers.SGD(0.1, momentum=MOMENTUM)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


def per_epoch(batch: int = BATCH) -> int:
    """Steps of an epoch."""
    return -(-TRAINED_ON // batch)


def seeds_of(seed: int, runs: int) -> list[int]:
    """The seeds of the runs that share one budget."""
    return [seed + run * _RUN for run in range(runs)]


@lru_cache(maxsize=3)
def rows(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of "val", "test" or "fresh"."""
    known = {"val": (data().x_val, data().y_val), "test": (data().x_test, data().y_test)}
    return fresh(*known["test"]) if part == "fresh" else known[part]
