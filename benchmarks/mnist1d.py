"""MNIST-1D, the published Conv1D network of 5,210 parameters: 60 epochs for 8 seeds, against Keras `fit` on JAX.

Claim: at least 1.5 × as fast, compilation included on both sides. Beside it the distance to the arithmetic limit: the
floating-point operations of all steps, as the compiler counts them, over what this machine does in a large matrix product.
Each repeat trains ours, then two seeds with `fit`, scaled to 8, in a process of its own each; and then measures the peak.

    python benchmarks/mnist1d.py --repeats 3 --json benchmarks/results/mnist1d.json
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import at_least, environment, in_child, write
from measuring import peak as product_peak
from rich.console import Console
from rich.table import Table

EPOCHS, BATCH, PEAK, SEEDS, ALONE = 60, 100, 0.1, 8, 2


def data():
    from manyminima import datasets

    found = datasets.load("mnist1d")
    return np.asarray(found.x_train, "float32"), np.asarray(found.y_train)


def build_model():
    import keras

    from manyminima import zoo

    model = zoo.cnn1d((40,), 10)
    model.compile(keras.optimizers.SGD(PEAK, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def ours(epochs: int) -> list[float]:
    import keras  # noqa: F401

    import manyminima as mm

    x, y = data()
    train, recipe = mm.train, mm.recipes.snapshot(cycles=5, peak=PEAK)
    begin = time.perf_counter()
    train(build_model, x, y, recipe, epochs=epochs, batch_size=BATCH, replicas=SEEDS)
    return [time.perf_counter() - begin]


def fit(epochs: int) -> list[float]:
    import keras

    x, y = data()
    keras.utils.set_random_seed(0)  # where TensorFlow is installed this imports it, and imports do not count
    steps = -(-len(x) // BATCH) * epochs
    seconds = []
    for seed in range(ALONE):
        begin = time.perf_counter()
        keras.utils.set_random_seed(seed)
        model = build_model()
        model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(PEAK, steps)
        model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        seconds.append(time.perf_counter() - begin)
    return seconds


def peak(epochs: int) -> list[float]:
    """Return floating-point operations per second of a large product in float32, and those of one training step."""
    from manyminima.training.engine.step import trace_step

    x, y = data()
    model = build_model()
    model._symbolic_build(data_batch=(x[:BATCH], y[:BATCH]))
    return [product_peak(2048), trace_step(model, (x[:BATCH], y[:BATCH]), driven=False).work, float(len(x))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=("ours", "fit", "peak"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(globals()[options.child](options.epochs)))
        return
    seconds: dict[str, list[float]] = {"manyminima": [], "Keras fit": []}
    peaks = []
    for repeat in range(options.repeats):
        run = [in_child(__file__, "--child", way, "--epochs", str(options.epochs)) for way in ("ours", "fit", "peak")]
        seconds["manyminima"] += run[0]
        seconds["Keras fit"].append(SEEDS * float(np.mean(run[1])))
        peaks.append(run[2])
        print(f"  {repeat + 1}/{options.repeats}: {run}", flush=True)
    show(seconds, peaks, options)


def show(seconds: dict[str, list[float]], peaks: list[list[float]], options) -> None:
    flops, step, rows = np.median(peaks, axis=0)
    work = step * (rows / BATCH) * options.epochs * SEEDS
    limit = work / flops
    table = Table("", "seconds, median", "smallest to largest", "× the arithmetic limit", title="8 runs of 60 epochs")
    for name, values in seconds.items():
        middle = float(np.median(values))
        table.add_row(name, f"{middle:.2f}", f"{min(values):.2f} to {max(values):.2f}", f"{middle / limit:.1f}")
    Console().print(table)
    ratios = [theirs / ours for theirs, ours in zip(seconds["Keras fit"], seconds["manyminima"], strict=True)]
    what = f"MNIST-1D, Conv1D of 5,210 parameters, {options.epochs} epochs, {SEEDS} seeds, compilation included"
    result = {
        "environment": environment(),
        "results": seconds,
        "limit": {"seconds": limit, "operations": work, "per_second": flops},
        "claims": [at_least(what, "Keras `fit` on JAX", 1.5, ratios)],
    }
    write(options.json, result)


if __name__ == "__main__":
    main()
