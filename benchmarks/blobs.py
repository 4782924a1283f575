"""The tutorials' job many times over: 500 epochs on 100 points, ten cycles, 30 seeds × 5 recipes.

Claims, as ratios in one run: at least 100 × as fast as Keras `fit` on JAX, and 30 × as torchensemble; and one run that is the
second of its architecture in a process, at least 5 × as fast as a hand-written PyTorch loop.

The job is a process of its own for each way and repeat, one after the other in turn: compilation counts, imports do not. Ours
does all 150 runs; the others do three, which are scaled to 150. Keras is written as tutorials write it: a callback sets the
rate each epoch and keeps the weights at the ends of cycles. They also judge the test rows after each epoch, which takes
longer than the training; that is measured apart, since ours does not. torchensemble does one run each of its snapshot, fast
geometric and voting ensembles, ten members out of 500 epochs.

    python benchmarks/blobs.py --repeats 3 --json benchmarks/results/blobs.json
"""

import argparse
import json
import math
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import at_least, environment, in_child, write
from rich.console import Console
from rich.table import Table

EPOCHS, CYCLES, BATCH, PEAK, SEEDS = 500, 10, 32, 0.1, 30
RUNS = 150
LENGTH = EPOCHS // CYCLES
ALONE = 3  # runs of the others


def data() -> tuple[np.ndarray, np.ndarray]:
    from manyminima import datasets

    blobs = datasets.load("blobs")
    return np.asarray(blobs.x_train, "float32"), np.asarray(blobs.y_train)


# -- ours -----------------------------------------------------------------------------------------------------------------


def build_model():
    import keras

    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(3, "softmax")], name="mlp"
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def recipes() -> list:
    from manyminima import recipes

    return [
        recipes.snapshot(cycles=CYCLES, peak=PEAK),
        recipes.snapshot(cycles=1, peak=PEAK),
        recipes.fge(cycles=CYCLES, peak=PEAK),
        recipes.swa(peak=PEAK),
        recipes.ema(0.99),
    ]


def ours(epochs: int) -> list[float]:
    import jax  # noqa: F401
    import keras  # noqa: F401

    import manyminima as mm

    x, y = data()
    train, every = mm.train, recipes()
    begin = time.perf_counter()
    for recipe in every:
        train(build_model, x, y, recipe, epochs=epochs, batch_size=BATCH, replicas=SEEDS)
    return [time.perf_counter() - begin]


# -- as tutorials do it ---------------------------------------------------------------------------------------------------


def keras_run(x, y, seed: int, epochs: int, judged_on: tuple | None = None) -> list:
    import keras

    class SnapshotEnsemble(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.members = []

        def on_epoch_begin(self, epoch, logs=None):
            phase = epoch % LENGTH / LENGTH
            self.model.optimizer.learning_rate = PEAK / 2 * (math.cos(math.pi * phase) + 1)

        def on_epoch_end(self, epoch, logs=None):
            if (epoch + 1) % LENGTH == 0:
                self.members.append(self.model.get_weights())

    keras.utils.set_random_seed(seed)
    snapshots = SnapshotEnsemble()
    build_model().fit(
        x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[snapshots], validation_data=judged_on
    )
    return snapshots.members


def tutorial(epochs: int) -> list[float]:
    import jax  # noqa: F401
    import keras

    x, y = data()
    keras.utils.set_random_seed(0)  # where TensorFlow is installed this imports it, and imports do not count
    return [_timed(lambda seed=seed: keras_run(x, y, seed, epochs)) for seed in range(ALONE)]


def tutorial_judged(epochs: int) -> list[float]:
    import keras

    from manyminima import datasets

    blobs, (x, y) = datasets.load("blobs"), data()
    test = np.asarray(blobs.x_test, "float32"), np.asarray(blobs.y_test)
    keras.utils.set_random_seed(0)
    return [_timed(lambda seed=seed: keras_run(x, y, seed, epochs, test)) for seed in range(ALONE)]


def torchensemble(epochs: int) -> list[float]:
    import logging

    import torch
    from torchensemble import FastGeometricClassifier, SnapshotEnsembleClassifier, VotingClassifier

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)  # as in `torch_loop`
    x, y = data()
    cycle = 4
    spent = (
        CYCLES - 1
    ) * cycle + cycle // 2  # epochs after the first part in which the fast ensemble takes its members
    ways = (
        (SnapshotEnsembleClassifier, epochs, {"lr_clip": None}),
        (FastGeometricClassifier, epochs - spent, {"cycle": cycle, "lr_1": PEAK, "lr_2": PEAK / 100}),
        (VotingClassifier, epochs // CYCLES, {}),
    )

    class MLP(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(2, 25), torch.nn.ReLU(), torch.nn.Linear(25, 3))

        def forward(self, x):
            return self.layers(x)

    def one(make, epochs: int, options: dict) -> None:
        rows = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
        loader = torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True)
        ensemble = make(estimator=MLP, n_estimators=CYCLES, cuda=False)
        ensemble.set_criterion(torch.nn.CrossEntropyLoss())
        ensemble.set_optimizer("SGD", lr=PEAK, momentum=0.9)
        ensemble.fit(loader, epochs=epochs, save_model=False, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_timed(lambda way=way: one(*way)) for way in ways]


# -- one run, the second of its architecture ------------------------------------------------------------------------------


def torch_loop(x, y, seed: int, epochs: int) -> list:
    import torch

    torch.set_num_threads(1)  # these products are too small for two, which would only wait for each other
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(2, 25), torch.nn.ReLU(), torch.nn.Linear(25, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    x, y, members, step = torch.from_numpy(x), torch.from_numpy(y), [], 0
    length = LENGTH * math.ceil(len(x) / BATCH)
    for epoch in range(epochs):
        order = torch.randperm(len(x))
        for chosen in order.split(BATCH):
            optimizer.param_groups[0]["lr"] = PEAK / 2 * (math.cos(math.pi * (step % length) / length) + 1)
            optimizer.zero_grad()
            loss_of(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            step += 1
        if (epoch + 1) % LENGTH == 0:
            members.append({name: value.clone() for name, value in model.state_dict().items()})
    return members


def scikit_learn(x, y, seed: int, epochs: int) -> None:
    from sklearn.neural_network import MLPClassifier

    options = {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": PEAK, "alpha": 0.0}
    never = {"tol": 0.0, "n_iter_no_change": epochs, "max_iter": epochs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPClassifier((25,), batch_size=BATCH, random_state=seed, **options, **never).fit(x, y)


def second(epochs: int, repeats: int) -> dict[str, list[float]]:
    import manyminima as mm

    x, y = data()
    recipe = recipes()[0]
    ways = {
        "manyminima": lambda seed: mm.train(build_model, x, y, recipe, epochs=epochs, batch_size=BATCH, seed=seed),
        "PyTorch loop": lambda seed: torch_loop(x, y, seed, epochs),
        "scikit-learn MLPClassifier": lambda seed: scikit_learn(x, y, seed, epochs),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            found = _timed(lambda way=way, repeat=repeat: way(repeat))
            seconds[name] += [found] if repeat else []
    return seconds


def _timed(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


# -- all of it ------------------------------------------------------------------------------------------------------------


def job(epochs: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of 150 runs, by way, one for each repeat."""
    children = {
        "manyminima": "ours",
        "Keras fit": "tutorial",
        "Keras fit, test rows judged after each epoch": "tutorial_judged",
        "torchensemble": "torchensemble",
    }
    seconds: dict[str, list[float]] = {name: [] for name in children}
    with tempfile.TemporaryDirectory() as empty:
        for repeat in range(repeats):
            for name, child in children.items():
                found = in_child(__file__, "--child", child, "--epochs", str(epochs), env={"KERAS_HOME": empty})
                seconds[name].append(sum(found) if name == "manyminima" else RUNS * float(np.mean(found)))
                print(f"  {repeat + 1}/{repeats} {name}: {seconds[name][-1]:.1f} s for {RUNS} runs", flush=True)
    return seconds


def claims(job: dict[str, list[float]], second: dict[str, list[float]]) -> list[dict]:
    work = f"blobs, {EPOCHS} epochs, {CYCLES} cycles: {SEEDS} seeds × 5 recipes, compilation included"

    def times(seconds: dict, name: str) -> list[float]:
        return [theirs / ours for theirs, ours in zip(seconds[name], seconds["manyminima"], strict=True)]

    once = "one blobs run, the second of its architecture in a process"
    return [
        at_least(work, "Keras `fit` on JAX, three runs scaled", 100, times(job, "Keras fit")),
        at_least(work, "torchensemble, three runs scaled", 30, times(job, "torchensemble")),
        at_least(once, "hand-written PyTorch loop", 5, times(second, "PyTorch loop")),
    ]


def show(title: str, seconds: dict[str, list[float]]) -> None:
    table = Table("", "seconds, median", "smallest to largest", "× ours", title=title)
    for name, values in seconds.items():
        ratio = np.median(np.divide(values, seconds["manyminima"]))
        table.add_row(name, f"{np.median(values):.3f}", f"{min(values):.3f} to {max(values):.3f}", f"{ratio:.1f}")
    Console().print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=3, help="of the job; a single run is repeated five times as often"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--child", choices=("ours", "tutorial", "tutorial_judged", "torchensemble"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.child:
        print(json.dumps(globals()[options.child](options.epochs)))
        return
    found = {"job": job(options.epochs, options.repeats), "second": second(options.epochs, 5 * options.repeats)}
    show(f"{RUNS} runs", found["job"])
    show("one run, the second of its architecture", found["second"])
    packages = ("torch", "torchensemble", "scikit-learn")
    result = {"environment": environment(*packages), "results": found, "claims": claims(**found)}
    write(options.json, result)


if __name__ == "__main__":
    main()
