"""What a save costs training: 20 MB of weights at a boundary, with Collect and with Keras's `ModelCheckpoint`.

Claim: training stands still for at most a tenth of the time that it does with `ModelCheckpoint(save_weights_only=True)`.
A save's stall is the time inside callbacks at the end of its epoch, with the device's work waited for before, beyond that
of a `fit` that saves nothing. Ours goes on writing behind training, so the epochs themselves are timed too. Each repeat is
one `fit` with either and one with neither, in turn, of one model, with a save after each epoch; the first repeat is left out.

    python benchmarks/writing.py --repeats 5 --json benchmarks/results/writing_jax.json
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from measuring import at_most, environment, write
from rich.console import Console
from rich.table import Table

import manyminima as mm

WIDTH, EPOCHS, ROWS, BATCH = 1600, 10, 1280, 128
OURS, PEER, NEITHER = "manyminima, Collect", "Keras ModelCheckpoint", "neither"


class Stopped(keras.callbacks.Callback):
    """The first of the callbacks: when an epoch's training has ended."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        self.model.get_weights()  # waits for the device: what was asked of it before is no part of a save
        self.times.append(time.perf_counter())


class Going(keras.callbacks.Callback):
    """The last of the callbacks: when training can go on."""

    def __init__(self):
        super().__init__()
        self.begun: list[float] = []
        self.times: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(time.perf_counter())

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter())


def build():
    layers = [keras.layers.Dense(WIDTH, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return model


def fit(model, x, y, callbacks: list) -> dict[str, float]:
    """Return seconds, means over a run: from the end of an epoch's training until it can go on, and of an epoch."""
    stopped, going = Stopped(), Going()
    together = [stopped, *callbacks, going]
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=together)
    stalls, epochs = np.subtract(going.times, stopped.times), np.subtract(stopped.times, going.begun)
    return {"stall": float(stalls.mean()), "epoch": float(epochs[1:].mean())}  # the first compiles


def measure(repeats: int) -> dict[str, dict[str, list[float]]]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, WIDTH)).astype("float32"), rng.integers(0, 10, ROWS)
    model = build()
    found: dict[str, dict[str, list[float]]] = {}
    for repeat in range(repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "{epoch}.weights.h5"
            ways = {
                OURS: [mm.Collect(mm.recipes.checkpoints(), into=Path(folder) / "run")],
                PEER: [keras.callbacks.ModelCheckpoint(files, save_weights_only=True)],
                NEITHER: [],
            }
            for name, callbacks in ways.items():
                for key, value in fit(model, x, y, callbacks).items():
                    values = found.setdefault(name, {}).setdefault(key, [])
                    values += [value] if repeat else []
            assert len(mm.Snapshots(Path(folder) / "run")) == EPOCHS
            assert len(list(Path(folder).glob("*.h5"))) == EPOCHS
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.repeats)
    table = Table("milliseconds", "training stands still", "an epoch", title="20 MB of weights")
    for name, values in found.items():
        cells = [
            f"{1e3 * np.median(values[key]):.1f} ({1e3 * min(values[key]):.1f} to {1e3 * max(values[key]):.1f})"
            for key in ("stall", "epoch")
        ]
        table.add_row(name, *cells)
    Console().print(table)
    stalls = [np.subtract(found[name]["stall"], found[NEITHER]["stall"]) for name in (OURS, PEER)]
    claim = at_most(
        "20 MB of weights saved at a boundary: stall of training",
        "Keras `ModelCheckpoint(save_weights_only=True)`",
        10,
        (100 * stalls[0] / stalls[1]).tolist(),
        unit="%",
    )
    write(options.json, {"environment": environment(), "results": found, "claims": [claim]})


if __name__ == "__main__":
    main()
