"""Do snapshots help on Fashion-MNIST? One run of five cycles against one ordinary run of the same length.

For each seed two networks are trained from the same initial weights on the same order of batches, for the same number of
steps at the same peak rate: one with five cosine cycles, one with a single cosine cycle. Reported on the test set: error
and NLL of the last member, of the ensemble, and of the single run; differences are paired by seed, with a Student interval.
Nothing is chosen by looking at the test set: the peak rate, the network and the number of cycles were fixed beforehand.

    python benchmarks/fashion_mnist.py --seeds 3 --json fashion.json
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from measuring import environment, interval
from rich.console import Console
from rich.table import Table

import manyminima as mm

EPOCHS, BATCH, PEAK, CYCLES = 10, 128, 0.1, 5


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


def scores(y, probs: np.ndarray) -> dict[str, float]:
    return {"error": 100 * (1 - mm.metrics.accuracy(y, probs)), "nll": mm.metrics.nll(y, probs)}


def one_seed(data, seed: int) -> dict[str, dict[str, float]]:
    begin = time.perf_counter()
    members, single = train(data, seed, CYCLES), train(data, seed, 1)
    print(f"  seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    return {
        "last member": scores(data.y_test, members[-1]),
        "ensemble of 5": scores(data.y_test, mm.combine.mean(members)),
        "newest 3 of 5": scores(data.y_test, mm.combine.mean(members[-3:])),
        "single run, one cycle": scores(data.y_test, single[-1]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = mm.datasets.load("fashion-mnist")
    runs = [one_seed(data, seed) for seed in range(options.seeds)]
    table = Table("", "error, %", "NLL, nats", "error − single run", "NLL − single run")
    for name in runs[0]:
        cells = [f"{np.mean([r[name][k] for r in runs]):.{d}f}" for k, d in (("error", 2), ("nll", 4))]
        for key, digits in (("error", 2), ("nll", 4)):
            low = interval([r[name][key] - r["single run, one cycle"][key] for r in runs])
            text = f"{low[0]:+.{digits}f} ({low[1]:+.{digits}f} to {low[2]:+.{digits}f})"
            cells.append("" if name.startswith("single") else text)
        table.add_row(name, *cells)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "seeds": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
