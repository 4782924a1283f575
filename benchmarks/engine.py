"""`mm.train` against Keras `fit` on JAX, for networks of several kinds: several replicas together, and one alone.

Claim: replicas together are never slower than `fit` after `fit`. Compilation is included on both sides, and each way and
repeat has a process of its own: ours trains all replicas, `fit` two, whose mean is scaled. One replica alone is told as the
first run in its process, for which ours traces the training step as well, and as the second.

    python benchmarks/engine.py --repeats 3 --json benchmarks/results/engine.json
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import at_least, environment, in_child, write
from rich.console import Console
from rich.table import Table

ALONE = 2  # runs of fit
PEAK = 0.05
WAYS = ("together", "first", "second")


class Work(NamedTuple):
    """A network by the name of the function below, the shape of an image that it takes, and the length of its training."""

    network: str
    shape: tuple[int, ...]
    batch: int
    epochs: int
    replicas: int


WORKS = {
    "MLP 64-64, 10 replicas": Work("mlp64", (64,), 32, 30, 10),
    "MLP 256-256, 10 replicas": Work("mlp256", (64,), 64, 30, 10),
    "CNN 32-64 with BatchNormalization, 8 × 8, 5 replicas": Work("cnn", (8, 8, 1), 64, 8, 5),
    "CNN 16-32, 32 × 32, 4 replicas": Work("cnn_large", (32, 32, 1), 64, 4, 4),
    "GRU 32, 8 steps of 8, 5 replicas": Work("gru", (8, 8), 64, 10, 5),
}


def networks() -> dict:
    from keras import layers

    def cnn():
        first = [layers.Conv2D(32, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
        return [*first, layers.Conv2D(64, 3, padding="same", activation="relu"), layers.GlobalAveragePooling2D()]

    def cnn_large():
        first = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()]
        return [*first, layers.Conv2D(32, 3, activation="relu"), layers.GlobalAveragePooling2D()]

    return {
        "mlp64": lambda: [layers.Dense(64, "relu"), layers.Dense(64, "relu")],
        "mlp256": lambda: [layers.Dense(256, "relu"), layers.Dense(256, "relu")],
        "cnn": cnn,
        "cnn_large": cnn_large,
        "gru": lambda: [layers.GRU(32)],
    }


def data(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, each pixel as often as the shape asks."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype("float32") / 16
    if len(work.shape) == 3:
        times = work.shape[0] // 8
        x = x.repeat(times, axis=1).repeat(times, axis=2)
    return x.reshape(-1, *work.shape), y


def builder(work: Work):
    import keras

    def build_model():
        model = keras.Sequential(
            [keras.Input(work.shape), *networks()[work.network](), keras.layers.Dense(10, "softmax")]
        )
        optimizer = keras.optimizers.SGD(PEAK, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return build_model


def ours(work: Work, replicas: int) -> list[float]:
    import keras

    import manyminima as mm

    x, y = data(work)
    keras.utils.set_random_seed(0)  # where TensorFlow is installed this imports it, and imports do not count
    build_model, train, recipe = builder(work), mm.train, mm.recipes.snapshot(cycles=1, peak=PEAK)
    seconds = []
    for seed in range(ALONE if replicas == 1 else 1):
        begin = time.perf_counter()
        train(build_model, x, y, recipe, epochs=work.epochs, batch_size=work.batch, replicas=replicas, seed=seed)
        seconds.append(time.perf_counter() - begin)
    return seconds


def fit(work: Work, runs: int) -> list[float]:
    import keras

    x, y = data(work)
    keras.utils.set_random_seed(0)
    build_model, seconds = builder(work), []
    for seed in range(runs):
        begin = time.perf_counter()
        keras.utils.set_random_seed(seed)
        model = build_model()
        model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(
            PEAK, -(-len(x) // work.batch) * work.epochs
        )
        model.fit(x, y, batch_size=work.batch, epochs=work.epochs, verbose=0)
        seconds.append(time.perf_counter() - begin)
    return seconds


def measure(name: str) -> dict[str, tuple[float, float]]:
    """Return seconds of ours and of `fit`: for all replicas, for one, and for one that is the second in its process."""
    replicas = WORKS[name].replicas
    (together,), alone = (
        in_child(__file__, "--child", "ours", "--work", name, "--runs", str(n)) for n in (replicas, 1)
    )
    runs = in_child(__file__, "--child", "fit", "--work", name, "--runs", str(ALONE))
    pairs = zip(WAYS, (together, *alone), (replicas * float(np.mean(runs)), *runs), strict=True)
    return {way: (ours, theirs) for way, ours, theirs in pairs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=("ours", "fit"), help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=list(WORKS), help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(globals()[options.child](WORKS[options.work], options.runs)))
        return
    results: dict[str, dict[str, list]] = {name: {way: [] for way in WAYS} for name in WORKS}
    for repeat in range(options.repeats):
        for name, found in results.items():
            for way, pair in measure(name).items():
                found[way].append(pair)
            print(f"  {repeat + 1}/{options.repeats} {name}: {[found[way][-1] for way in WAYS]}", flush=True)
    show(results)
    claims = [
        at_least(
            f"{name}, compilation included", "Keras `fit` on JAX, one after the other", 1, ratios(found["together"])
        )
        for name, found in results.items()
    ]
    write(options.json, {"environment": environment(), "results": results, "claims": claims})


def ratios(pairs: list) -> list[float]:
    return [theirs / ours for ours, theirs in pairs]


def show(results: dict[str, dict[str, list]]) -> None:
    table = Table(
        "", "ours, s", "fit, s", "fit / ours", "one, the first", "one, the second", title="mm.train against fit"
    )
    for name, found in results.items():
        middle = [f"{np.median(values):.2f}" for values in zip(*found["together"], strict=True)]
        times = [f"{np.median(ratios(found[way])):.2f}" for way in WAYS]
        table.add_row(name, *middle, *times)
    Console().print(table)


if __name__ == "__main__":
    main()
