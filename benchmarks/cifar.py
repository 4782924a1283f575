"""A paper's network on CIFAR: M snapshots of one run, their ensemble, and an ordinary run of the same length.

Both runs start from the same weights and see the same augmented batches, trained as the network's paper did (batches, Nesterov
momentum, weight decay, crops and flips); one has M cosine cycles, the other a single one, from the same peak rate. Nothing is
tuned, and the test images are looked at once, at the end. Speed is training alone, the first epoch with its compilation apart;
beside it stand the images per second that augmentation can serve, and the share of the device's peak in a large product.

Runs that are done are kept in `--work`, so that the same command goes on where it stopped. On a GPU:

    python benchmarks/cifar.py --model wrn-16-4 --precision mixed_bfloat16 --minutes 10 --json benchmarks/results/cifar_gpu.json
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from measuring import environment, interval, write
from rich.console import Console
from rich.table import Table

import manyminima as mm
from manyminima.cli import regime as regimes


class Clock(keras.callbacks.Callback):
    """Notes in a file how long each epoch takes, Collect's work at its end included; the first since a start as negative."""

    def __init__(self, file: Path):
        super().__init__()
        self.file, self.first = file, True

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.begin
        with self.file.open("a") as file:
            file.write(f"{-seconds if self.first else seconds}\n")
        self.first = False


def train(data, options, place: Path, cycles: int, seed: int, epochs: int) -> np.ndarray:
    """Return the members' test probabilities, (cycles, examples, classes); an interrupted run goes on where it was."""
    regime = regimes.regime_for(options.model, batch_size=options.batch_size)
    keras.utils.set_random_seed(seed)
    model = regimes.build_in(options.precision, options.model, data)
    regimes.compile_in(model, data, regime, None)
    recipe = mm.recipes.snapshot(cycles=cycles, peak=options.peak)
    callbacks = [mm.Collect(recipe, into=place / "run", resume=True), Clock(place / "seconds")]
    batches = regimes.batches_in(data, regime, seed)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return mm.load(place / "run").predict_members(data.x_test)


def kept(data, options, cycles: int, seed: int, epochs: int) -> tuple[np.ndarray, list[float], bool]:
    """Return what `train` does, from disk where it was done before, the seconds of epochs, and whether it was done before."""
    name = (options.model, options.precision, len(data.x_train), epochs, options.batch_size, options.peak, cycles, seed)
    place = options.work / "-".join(map(str, name))
    known = (place / "probs.npy").is_file()
    if not known:
        place.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        np.save(place / "probs.npy", train(data, options, place, cycles, seed, epochs))
        print(f"  seed {seed}, {cycles} cycle(s): {time.perf_counter() - begin:.0f} s", flush=True)
    seconds = [float(line) for line in (place / "seconds").read_text().split()]
    return np.load(place / "probs.npy"), seconds, known


def scores(y, probs: np.ndarray) -> dict[str, float]:
    return {"error": 100 * (1 - mm.metrics.accuracy(y, probs)), "nll": mm.metrics.nll(y, probs)}


def paired(y, one: np.ndarray, other: np.ndarray) -> dict[str, list[float]]:
    """Return mean and 95 % interval over test rows of one − other."""
    rows = np.arange(len(y))
    errors = 100.0 * ((one.argmax(-1) != y).astype(float) - (other.argmax(-1) != y))
    losses = np.log(np.maximum(other[rows, y], 1e-12)) - np.log(np.maximum(one[rows, y], 1e-12))
    found = {}
    for name, gaps in (("error", errors), ("nll", losses)):
        half = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
        found[name] = [float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)]
    return found


def one_seed(y, snapshots: np.ndarray, single: np.ndarray) -> dict:
    ensemble = mm.combine.mean(snapshots)
    named = {f"member {k + 1} of {len(snapshots)}": probs for k, probs in enumerate(snapshots)}
    named |= {f"ensemble of {len(snapshots)}": ensemble, "single run, one cycle": single[-1]}
    against = {"single run": paired(y, ensemble, single[-1]), "last member": paired(y, ensemble, snapshots[-1])}
    return {"scores": {name: scores(y, probs) for name, probs in named.items()}, "ensemble −": against}


# -- speed ---------------------------------------------------------------------------------------------------------------


def operations(model) -> float:
    """Return floating-point operations of one training step per image: a forward pass counts once, a backward one twice."""
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            places = np.prod(layer.output.shape[1:3])  # channels last
            total += 2 * places * np.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * np.prod(layer.kernel.shape)
    return 3 * float(total)


def peak(precision: str) -> float:
    """Return floating-point operations per second of a large product in the precision of the convolutions."""
    dtype = precision.removeprefix("mixed_")
    size = 8192 if on_gpu() else 2048
    a = keras.ops.cast(keras.random.normal((size, size)), dtype) / size**0.5
    seconds = []
    for _ in range(4):
        begin = time.perf_counter()
        product = a
        for _ in range(8):
            product = keras.ops.matmul(product, a)
        float(keras.ops.convert_to_numpy(product[0, 0]))  # waits for the device
        seconds.append((time.perf_counter() - begin) / 8)
    return 2 * size**3 / min(seconds)


def on_gpu() -> bool:
    return device() != "cpu"


def device() -> str:
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind.lower()
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.get_device_name().lower() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    return tf.config.list_physical_devices()[-1].device_type.lower()


def served(data, options) -> float:
    """Return images per second that come out of the batches, gathered and augmented."""
    batches = regimes.batches_in(data, regimes.regime_for(options.model, batch_size=options.batch_size), 0)
    count = min(len(batches), 200)
    begin = time.perf_counter()
    images = sum(len(batches[i][0]) for i in range(count))
    return images / (time.perf_counter() - begin)


def fitting_epochs(data, options) -> int:
    """Return as many epochs, a multiple of the cycles, as both runs of a seed hold in `--minutes`; after a short trial."""
    print("  a trial of 2 epochs, for the speed", flush=True)
    _, seconds, _ = kept(data, options, 1, 0, 2)
    epochs = int(60 * options.minutes / (2 * options.seeds) / seconds[-1] * 0.95)
    return max(options.cycles, epochs // options.cycles * options.cycles)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--model", default="wrn-10-1")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch-size", type=int, help="default: that of the network's paper")
    parser.add_argument("--peak", type=float, default=0.1)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--minutes", type=float, help="as many epochs as fit in, instead of --epochs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, help="training rows; default: all")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-cifar"))
    parser.add_argument("--one", action="store_true", help="do the next run that is missing, and stop")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = mm.datasets.load(options.data, limit=options.limit)
    epochs = options.epochs if options.minutes is None else fitting_epochs(data, options)
    found = {}
    for seed in range(options.seeds):
        for cycles in (options.cycles, 1):
            *found[seed, cycles], known = kept(data, options, cycles, seed, epochs)
            if options.one and not known:
                return
    seeds = [one_seed(data.y_test, found[seed, options.cycles][0], found[seed, 1][0]) for seed in range(options.seeds)]
    all_seconds = [s for _, took in found.values() for s in took]
    seconds = [s for s in all_seconds if s > 0]
    rate, top = len(data.x_train) / float(np.median(seconds)), peak(options.precision)
    work = operations(regimes.build_in(options.precision, options.model, data))
    result = {
        "environment": environment() | {"device": device()},
        "data": {k: data.contract.get(k) for k in ("source", "origin", "rows", "limit")},
        "training": regimes.regime_for(options.model, batch_size=options.batch_size).record
        | {"model": options.model, "epochs": epochs, "peak": options.peak, "precision": options.precision},
        "speed": {
            "images_per_second": rate,
            "images_per_second_served": served(data, options),
            "first_epoch_extra": float(np.median([-s for s in all_seconds if s < 0]) - np.median(seconds)),
            "operations_per_image": work,
            "peak_operations_per_second": top,
            "share_of_peak": rate * work / top,
        },
        "seeds": seeds,
    }
    show(result)
    write(options.json, result)


def show(result: dict) -> None:
    table = Table("", "error, %", "NLL, nats")
    for name in result["seeds"][0]["scores"]:
        cells = [np.mean([seed["scores"][name][key] for seed in result["seeds"]]) for key in ("error", "nll")]
        table.add_row(name, f"{cells[0]:.2f}", f"{cells[1]:.4f}")
    console = Console()
    console.print(f"{result['data']['source']}, {result['training']}")
    console.print(table)
    for other in ("single run", "last member"):
        for key, unit in (("error", "points"), ("nll", "nats")):
            gaps = [seed["ensemble −"][other][key] for seed in result["seeds"]]
            mean, low, high = gaps[0] if len(gaps) == 1 else interval([gap[0] for gap in gaps])
            over = "test images" if len(gaps) == 1 else "seeds"
            console.print(f"ensemble − {other}: {mean:+.4f} {unit} ({low:+.4f} to {high:+.4f} over {over})")
    speed = result["speed"]
    console.print(
        f"{speed['images_per_second']:,.0f} images/s in training, {speed['images_per_second_served']:,.0f} served, "
        f"{speed['share_of_peak']:.1%} of {speed['peak_operations_per_second'] / 1e12:.2f} Tflop/s on "
        f"{result['environment']['device']}"
    )


if __name__ == "__main__":
    main()
