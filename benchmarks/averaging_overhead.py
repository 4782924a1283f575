"""What an average of all steps costs: `fit` with `mm.Ema(0.999)`, every step and every tenth, against plain `fit`.

Beside it the way that users take by themselves: a callback that reads the weights after every step. Pairs, turns and the
interval are those of `fit_overhead.py`. The average is handed over once, at the end.

    KERAS_BACKEND=torch python benchmarks/averaging_overhead.py --pairs 10 --seconds 4 --json averaging_overhead.json
"""

import argparse
import json
from pathlib import Path

import fit_overhead
import keras
import numpy as np
from measuring import environment
from rich.console import Console
from rich.table import Table

import manyminima as mm


class Naive(keras.callbacks.Callback):
    """An EMA that is computed outside the training step."""

    def on_train_batch_end(self, batch, logs=None):
        weights = self.model.get_weights()
        average = getattr(self, "average", weights)
        self.average = [0.999 * a + 0.001 * w for a, w in zip(average, weights, strict=True)]


def in_step(every: int):
    def make(folder: Path):
        collect = mm.Collect(mm.recipes.ema(0.999, every=every))

        def check():
            (average,) = collect.members
            assert all(np.isfinite(w).all() for w in average)

        return [collect], check

    return make


def naive(folder: Path):
    return [Naive()], lambda: None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ways = (
        ("every step, in the step", in_step(1)),
        ("every 10th, in the step", in_step(10)),
        ("every step, callback", naive),
    )
    results: dict[str, dict] = {}
    table = Table(
        "model", "average", "step, plain fit", "with / without", "95 % interval", title=keras.backend.backend()
    )
    for name, build, shape in fit_overhead.MODELS:
        for way, make in ways:
            print(f"{name}, {way}, {keras.backend.backend()}")
            r = fit_overhead.measure(build, shape, options.pairs, options.seconds, make)
            results.setdefault(name, {})[way] = r
            interval = f"{r['low']:.3f} to {r['high']:.3f}"
            table.add_row(name, way, f"{r['step_us']:.0f} µs", f"{r['median']:.3f}", interval)
            if options.json:
                options.json.write_text(json.dumps({"environment": environment(), "results": results}, indent=1) + "\n")
    Console().print(table)


if __name__ == "__main__":
    main()
