"""How fast members are predicted: all of them through an Ensemble, against one `model.predict` call for each.

Claim: ten small members at least 5 × faster than ten `model.predict` calls. Every repetition measures each way once, one
after the other; given are medians with the smallest and the largest value, warm, compilation excluded.

    KERAS_BACKEND=torch python benchmarks/predict.py --repeats 15 --json predict.json
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from measuring import environment
from rich.console import Console
from rich.table import Table

import manyminima as mm

MEMBERS = 10
layers = keras.layers


def mlp(*widths: int):
    hidden = [layers.Dense(width, "relu") for width in widths]
    return keras.Sequential([keras.Input((20,)), *hidden, layers.Dense(10, "softmax")]), (20,)


def cnn():
    body = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu")]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head]), (28, 28, 1)


CASES = {
    "MLP 25, 1,000 rows": (lambda: mlp(25), 1000),
    "MLP 512-512, 10,000 rows": (lambda: mlp(512, 512), 10_000),
    "CNN 16-32, 1,000 images": (cnn, 1000),
}


def one_by_one(model, members, x):
    for weights in members:
        model.set_weights(weights)
        model.predict(x, verbose=0)


def ways(build, rows: int):
    model, shape = build()
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype("float32")
    members = [[w + 0.01 * i for w in model.get_weights()] for i in range(MEMBERS)]
    found = {"ten predict calls": lambda: one_by_one(model, members, x), "chosen": None}
    for execution in ("stacked", "mapped", "looped"):
        try:
            ensemble = mm.Ensemble(model, members, task="multiclass", execution=execution)
            ensemble.predict_members(x)
        except (ValueError, RuntimeError):  # not on this backend
            continue
        found[execution] = lambda ensemble=ensemble: ensemble.predict_members(x)
    chosen = mm.Ensemble(model, members, task="multiclass").execution
    found["chosen"] = found[chosen]
    return found, chosen


def measure(build, rows: int, repeats: int) -> dict:
    found, chosen = ways(build, rows)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for repeat in range(repeats + 2):
        for name, way in found.items():
            begin = time.perf_counter()
            way()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - begin)
    ratios = [a / b for a, b in zip(seconds["ten predict calls"], seconds["chosen"], strict=True)]
    return {
        "chosen": chosen,
        "ratio": [float(f(ratios)) for f in (np.median, np.min, np.max)],
        "milliseconds": {k: [1e3 * float(f(v)) for f in (np.median, np.min, np.max)] for k, v in seconds.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {name: measure(build, rows, options.repeats) for name, (build, rows) in CASES.items()}
    columns = ("ten predict calls", "stacked", "mapped", "looped")
    table = Table("ms, ten members", *columns, "chosen", "faster by", title=keras.backend.backend())
    for name, r in results.items():
        cells = [f"{r['milliseconds'][c][0]:.1f}" if c in r["milliseconds"] else "–" for c in columns]
        low = f"{r['ratio'][0]:.1f} × ({r['ratio'][1]:.1f} to {r['ratio'][2]:.1f})"
        table.add_row(name, *cells, r["chosen"], low)
    Console(width=130).print(table)
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
