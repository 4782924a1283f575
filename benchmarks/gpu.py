"""Thousand replicas on an accelerator: the blobs and the MNIST-1D study in one program each; rows per second, and of the peak.

Speed is the slope between a short and a long run of the same program, so that building models, compiling and fetching weights
are apart; they are given too. The peak is what the accelerator does in a large product, in float32 as JAX takes it by
default. Where there is no accelerator it says so and ends.

    python benchmarks/gpu.py --replicas 1000 --json benchmarks/results/gpu.json
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import blobs
import jax
import mnist1d
from measuring import environment, peak, write
from rich.console import Console
from rich.table import Table

import manyminima as mm
from manyminima.training.engine.step import trace_step

# model, data, rows in a batch, epochs of the short and the long run
WORK = {
    "blobs, MLP 25": (blobs.build_model, blobs.data, blobs.BATCH, (50, 500)),
    "MNIST-1D, Conv1D": (mnist1d.build_model, mnist1d.data, mnist1d.BATCH, (2, 12)),
}


def measure(build_model, data, batch: int, epochs: tuple[int, int], replicas: int) -> dict[str, float]:
    x, y = data()
    x, y = (array[: len(array) // batch * batch] for array in (x, y))
    recipe = mm.recipes.snapshot(cycles=1, peak=0.1)

    def train(epochs: int) -> float:
        begin = time.perf_counter()
        found = mm.train(build_model, x, y, recipe, epochs=epochs, batch_size=batch, replicas=replicas)
        assert found.about["engine"]["execution"] != "fit"
        return time.perf_counter() - begin

    first = train(epochs[0])
    short, long = train(epochs[0]), train(epochs[1])
    rows = replicas * len(x) * (epochs[1] - epochs[0])
    model = build_model()
    model._symbolic_build(data_batch=(x[:batch], y[:batch]))
    work = trace_step(model, (x[:batch], y[:batch]), driven=False).work / batch
    rate = rows / (long - short)
    return {"rows_per_second": rate, "operations_per_second": rate * work, "first": first, "short": short, "long": long}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--any-device", action="store_true", help="run where there is no accelerator too, to try it out"
    )
    options = parser.parse_args()
    device = jax.devices()[0]
    if device.platform == "cpu" and not options.any_device:
        print("No accelerator is found by JAX: nothing is measured. On a GPU install jax[cuda13] and run this again.")
        sys.exit(0)
    fastest = peak(8192 if device.platform != "cpu" else 1024)
    found = {name: measure(*work, replicas=options.replicas) for name, work in WORK.items()}
    title = f"{options.replicas:,} replicas on {device.device_kind}, {fastest / 1e12:.1f} TFLOP/s in a product"
    table = Table("", "rows per second", "share of the peak", "first run", "short", "long", title=title)
    for name, r in found.items():
        share = f"{100 * r['operations_per_second'] / fastest:.2f} %"
        seconds = [f"{r[key]:.1f} s" for key in ("first", "short", "long")]
        table.add_row(name, f"{r['rows_per_second']:,.0f}", share, *seconds)
    Console(width=130).print(table)
    about = {"device": device.device_kind, "peak": fastest, "replicas": options.replicas}
    write(options.json, {"environment": environment() | about, "results": found})


if __name__ == "__main__":
    main()
