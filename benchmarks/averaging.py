"""How fast members on disk are averaged: 50 snapshots of a model of 10 million parameters, hashed while they are read.

Claim: within 2 × of reading the same bytes with `read()` and hashing them with SHA-256, in the memory of 2.5 models. Beside it
what users write by themselves, none of which notices a damaged file: a loop over `np.load`, over `torch.load`, and over Keras's
`load_model` and `get_weights`. Every repetition does each way once, one after the other; files are in the page cache.

    python benchmarks/averaging.py --members 50 --repeats 5 --json average_from_disk.json
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
import tracemalloc
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from measuring import environment
from rich.console import Console
from rich.table import Table

import manyminima as mm
from manyminima.averaging.posthoc import mean_of
from manyminima.inference.sources import members_of


def network(width: int = 1730) -> keras.Model:
    hidden = [keras.layers.Dense(width, "relu") for _ in range(4)]
    return keras.Sequential([keras.Input((784,)), *hidden, keras.layers.Dense(10, "softmax")])


def write(folder: Path, members: int) -> keras.Model:
    """Write the same members in every format."""
    import torch

    model, rng = network(), np.random.default_rng(0)
    run = mm.Snapshots(folder / "run")
    for i in range(members):
        weights = [rng.normal(size=w.shape).astype("float32") for w in model.get_weights()]
        run.add(weights, step=i + 1)
        np.savez(folder / f"{i}.npz", *weights)
        torch.save([torch.from_numpy(w) for w in weights], folder / f"{i}.pt")
        model.set_weights(weights)
        model.save(folder / f"{i}.keras")
    return model


def read_and_hash(folder: Path, members: int):
    for path in sorted((folder / "run" / "members").iterdir()):
        hashlib.sha256(path.read_bytes()).hexdigest()


def ours(folder: Path, members: int):
    return mean_of(members_of(mm.Snapshots(folder / "run")).weights, np.full(members, 1 / members))


def loop(load):
    def run(folder: Path, members: int):
        sums = None
        for i in range(members):
            weights = load(folder, i)
            sums = [np.zeros(w.shape) for w in weights] if sums is None else sums
            for total, new in zip(sums, weights, strict=True):
                total += new
        return [(total / members).astype("float32") for total in sums]

    return run


def load_numpy(folder: Path, i: int):
    with np.load(folder / f"{i}.npz") as file:
        return [file[name] for name in file.files]


def load_torch(folder: Path, i: int):
    import torch

    return [tensor.numpy() for tensor in torch.load(folder / f"{i}.pt", weights_only=True)]


def load_keras(folder: Path, i: int):
    return keras.saving.load_model(folder / f"{i}.keras", compile=False).get_weights()


WAYS = {
    "read() and SHA-256 alone": read_and_hash,
    "manyminima": ours,
    "np.load loop": loop(load_numpy),
    "torch.load loop": loop(load_torch),
    "Keras load_model loop": loop(load_keras),
}


def peak_in_models(folder: Path, members: int, parameters: int) -> float:
    tracemalloc.start()
    ours(folder, members)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / (4 * parameters)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write(folder, options.members)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        found = {}
        for repeat in range(options.repeats):
            for way, run in WAYS.items():
                begin = time.perf_counter()
                found[way] = run(folder, options.members)
                seconds[way].append(time.perf_counter() - begin)
            print(f"  {repeat + 1}/{options.repeats}", flush=True)
        for a, b in zip(found["manyminima"], found["np.load loop"], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        peak = peak_in_models(folder, options.members, model.count_params())
    floor = seconds["read() and SHA-256 alone"]
    results = {}
    title = f"{options.members} members of {model.count_params():,} parameters, peak memory {peak:.2f} models"
    table = Table("", "seconds", "× reading and hashing", title=title)
    for way, values in seconds.items():
        ratios = np.divide(values, floor)
        results[way] = {"seconds": float(np.median(values)), "ratio": float(np.median(ratios)),
                        "low": float(min(ratios)), "high": float(max(ratios))}  # fmt: skip
        spread = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(way, f"{np.median(values):.2f}", spread)
    Console().print(table)
    if options.json:
        about = {"members": options.members, "parameters": model.count_params(), "peak_models": peak}
        text = json.dumps({"environment": environment(), **about, "results": results}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
