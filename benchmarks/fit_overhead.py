"""What collecting costs: `fit` with Collect, snapshots written to disk included, against plain `fit`.

Claim: at most 1.02 × the steady-state time per step on JAX, 1.05 × on torch and TensorFlow, for a small MLP at batch 32
and a small CNN. Each pair is two fits of at least `--seconds` each, in two threads of one process that take turns epoch by
epoch: a machine whose speed wanders by half within seconds, as shared ones do, wanders for both. The first epoch, which
holds the compilation, is timed apart. A fit's ratio is the median over its epochs, each over the plain one beside it; epochs
in which a member is collected, and those after them, in which it is written, count in full. After the former the turn is not
passed on, so that no writing is left to the other. The interval is the one for a median, between two of the ratios in their
order: the 6th and the 15th of 20.

    KERAS_BACKEND=torch python benchmarks/fit_overhead.py --pairs 20 --seconds 10 --json overhead.json
"""

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on torch each of the two threads would bring its own, which spin

import keras
import numpy as np
from measuring import environment
from rich.console import Console
from rich.table import Table

import manyminima as mm

ROWS, CYCLES = 6400, 5


def mlp() -> keras.Model:
    layers = [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
    return keras.Sequential(layers)


def cnn() -> keras.Model:
    convolution = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.MaxPooling2D(2)]
    return keras.Sequential(
        [keras.Input((14, 14, 1)), *convolution, keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )


class Turn:
    """Whose turn it is to train: two fits pass it on after every epoch."""

    def __init__(self, players: int = 2):
        self._players, self._condition, self._now = players, threading.Condition(), 0

    def wait(self, player: int) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._now == player)

    def pass_on(self) -> None:
        with self._condition:
            self._now = (self._now + 1) % self._players
            self._condition.notify_all()


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch, what other callbacks do at its end included; no batch hooks, so it costs nothing itself."""

    def __init__(self, turn: Turn, player: int, keeps: set[int]):
        super().__init__()
        self.seconds, self._turn, self._player, self._keeps = [], turn, player, keeps

    def on_epoch_begin(self, epoch, logs=None):
        self._turn.wait(self._player)
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._begin)
        if epoch not in self._keeps or epoch == self.params["epochs"] - 1:
            self._turn.pass_on()


def ratio(ours: Clock, plain: Clock, collecting: set[int]) -> float:
    """Return how many times as long ours took, the first epoch left out.

    Each epoch is compared with the one beside it. A sum of seconds would hand every hiccup of a shared machine to whichever fit
    was running, and so would the collecting epochs' seconds against those of all.
    """
    each = np.array(ours.seconds[1:]) / np.array(plain.seconds[1:])
    in_full = np.zeros(len(each), bool)
    in_full[[e - 1 + after for e in collecting for after in (0, 1) if 0 <= e - 1 + after < len(each)]] = True
    return (np.median(each[~in_full]) * np.sum(~in_full) + np.sum(each[in_full])) / len(each)


def fit(build, x, y, epochs: int, clock: Clock, callbacks: list) -> None:
    model = build()
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0, callbacks=[*callbacks, clock])


def both(build, x, y, epochs: int, callbacks: list, plain_first: bool, keeps: set[int]) -> tuple[Clock, Clock]:
    """Return the clocks of a fit with these callbacks and of one without; after the epochs in `keeps` the turn stays."""
    keras.backend.clear_session()
    turn = Turn()
    ours, plain = (Clock(turn, player, keeps) for player in (int(plain_first), int(not plain_first)))
    threads = [
        threading.Thread(target=fit, args=(build, x, y, epochs, clock, own))
        for clock, own in ((ours, callbacks), (plain, []))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ours.seconds) == len(plain.seconds) == epochs, "one of the fits has failed"
    return ours, plain


def measure(build, shape, pairs: int, seconds: float, make, collecting=lambda epochs, steps: set()) -> dict:
    """Compare fits with what `make(folder)` returns, a list of callbacks and a check to call afterwards, to plain ones."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, *shape)).astype("float32"), rng.integers(0, 10, ROWS)
    _, pilot = both(build, x, y, 11, [], plain_first=True, keeps=set())
    epochs = max(10, int(np.ceil(seconds / np.median(pilot.seconds[1:])))) + 1
    steps = ROWS // 32
    ratios, first, step_us = [], [], []
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            callbacks, check = make(Path(folder))
            due = collecting(epochs, steps)
            ours, plain = both(build, x, y, epochs, callbacks, plain_first=pair % 2 == 0, keeps=due)
            check()
        ratios.append(ratio(ours, plain, due))
        first.append(ours.seconds[0] - plain.seconds[0])
        step_us.append(1e6 * np.median(plain.seconds[1:]) / steps)
        print(f"  pair {pair + 1}/{pairs}: {ratios[-1]:.4f}  ({sum(plain.seconds):.1f} s plain)", flush=True)
    ratios = sorted(ratios)
    cut = int(np.floor(pairs / 2 - 1.96 * np.sqrt(pairs) / 2))
    return {
        "median": float(np.median(ratios)),
        "low": ratios[max(cut, 0)],
        "high": ratios[min(pairs - 1 - cut, pairs - 1)],
        "rebuild_seconds": float(np.median(first)),
        "step_us": float(np.median(step_us)),
        "steps": (epochs - 1) * steps,
        "pairs": pairs,
    }


def snapshots(folder: Path):
    def check():
        assert len(mm.Snapshots(folder / "run")) == CYCLES

    return [mm.Collect(mm.recipes.snapshot(cycles=CYCLES, peak=0.01), into=folder / "run")], check


def collecting(epochs: int, steps: int) -> set[int]:
    """Return the 0-based epochs in which a member is written."""
    ends = mm.recipes.snapshot(cycles=CYCLES, peak=0.01).plan(epochs, steps).when.steps
    return {-(-n // steps) - 1 for n in ends}


MODELS = (("MLP, batch 32", mlp, (64,)), ("CNN, batch 32", cnn, (14, 14, 1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for name, build, shape in MODELS:
        print(f"{name}, {keras.backend.backend()}")
        results[name] = measure(build, shape, options.pairs, options.seconds, snapshots, collecting)
    table = Table(
        "model", "step, plain fit", "Collect / fit", "95 % interval", "rebuild", title=keras.backend.backend()
    )
    for name, r in results.items():
        table.add_row(
            name,
            f"{r['step_us']:.0f} µs",
            f"{r['median']:.3f}",
            f"{r['low']:.3f} to {r['high']:.3f}",
            f"{r['rebuild_seconds']:.2f} s",
        )
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
