"""A long training of many cycles, killed again and again and taken up: is anything lost, and does anything grow?

A tiny model is trained for 2,000 cycles of one epoch, each of which leaves a member. The process is killed at random moments and
the same program is started again, until it ends. Each process says, cycle by cycle, how much memory and how many files it holds.
Memory is judged by a straight line through the later half of the longest process.

    python benchmarks/soak.py --cycles 2000 --kills 12 --json soak.json
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import environment, write

PROGRAM = """
import os, sys
import keras, numpy as np
import manyminima as mm

path, cycles = sys.argv[1], int(sys.argv[2])
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 4)).astype("float32"), rng.integers(0, 3, 64)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
PAGE = os.sysconf("SC_PAGE_SIZE")

class Tell(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        pages = int(open("/proc/self/statm").read().split()[1])
        print(epoch, pages * PAGE, len(os.listdir("/proc/self/fd")), flush=True)

collect = mm.Collect(mm.recipes.snapshot(cycles=cycles, peak=0.1), into=path, resume=True)
model.fit(mm.datasets.Batches(x, y, 32, seed=0), epochs=cycles, shuffle=False, verbose=0, callbacks=[collect, Tell()])
"""


def process(path: Path, cycles: int, until: int | None, seconds: float) -> tuple[list[list[int]], bool]:
    """Train until the end, or until killed so many seconds after so many cycles; return what it told, and whether it ended."""
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), str(cycles)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if len(lines) == until:
            time.sleep(seconds)
            child.kill()
    told = [[int(n) for n in line.split()] for line in lines if line.endswith("\n")]
    return told, child.wait() == 0


def soak(cycles: int, kills: int, folder: Path) -> dict:
    from manyminima.runs.snapshots import Snapshots
    from manyminima.runs.verify import inspect

    rng, longest, files, lost = random.Random(0), [], set(), 0
    ended, starts = False, 0
    while not ended:
        before = {m.step: m.hash for m in Snapshots(folder).members} if (folder / "run.json").exists() else {}
        until = rng.randrange(1, 2 * cycles // kills) if starts < kills else None
        told, ended = process(folder, cycles, until, rng.uniform(0, 0.05))
        after = {m.step: m.hash for m in Snapshots(folder).members}
        lost += sum(after.get(step) != known for step, known in before.items())
        starts += 1
        files |= {n for _, _, n in told[20:]}
        longest = max(longest, told, key=len)
        print(f"start {starts}: epochs {told[0][0] if told else '?'} to {told[-1][0] if told else '?'}", flush=True)
        if starts > kills + 3:
            raise RuntimeError("the training does not end")
    found = inspect(folder)
    later = np.array(longest[len(longest) // 2 :], float)
    slope = float(np.polyfit(later[:, 0], later[:, 1], 1)[0])
    return {
        "cycles": cycles,
        "kills": kills,
        "members": len(found.members),
        "problems": len(found.problems),
        "lost or changed": lost,
        "bytes per cycle": slope,
        "cycles of the longest process": len(longest),
        "resident MB": [longest[0][1] / 1e6, longest[-1][1] / 1e6],
        "open files": [min(files), max(files)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(options.cycles, options.kills, Path(folder, "run"))
    print(json.dumps(result, indent=1))
    write(options.json, {"environment": environment(), **result})


if __name__ == "__main__":
    main()
