"""What a run survives, beside what Keras's own callbacks leave: killed, out of room, cut, and with bytes changed.

Each fault is injected many times, at random moments and places; afterwards the run is read by somebody who does what the error
message says and no more. "Lost" are members that were complete and cannot be had any more; "wrong" is what was read without an
error and is not what was written. Keras's side is `ModelCheckpoint` with one file for each epoch, and `BackupAndRestore`.

    python benchmarks/faults.py                      all that is not recorded yet, minutes
    python benchmarks/faults.py --parts flips,cuts   some of it
"""

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

from fault_injections import cut, damage_keras, damage_ours, flip, full_keras, full_ours, kills
from fault_subjects import judge_keras, judge_ours, write_keras, write_ours
from fault_training import resumes
from measuring import environment, in_child, write

RESULTS = Path(__file__).parent / "results" / "faults.json"
KERAS = "Keras: ModelCheckpoint, BackupAndRestore"

# name: (what is shown, who, how often, how it is made of a number of times and a seed)
PARTS: dict[str, tuple[str, str, int, Callable[[int, int], Any]]] = {
    "kills": ("SIGKILL while members are written", "manyminima", 240, partial(kills, write_ours, judge_ours)),
    "kills keras": ("SIGKILL while members are written", KERAS, 240, partial(kills, write_keras, judge_keras)),
    "training": ("SIGKILL of `fit` with Collect", "manyminima", 50, resumes),
    "resumed": ("the same, gone on with to the end", "manyminima", 0, resumes),  # made by the part before
    "flips": ("one byte changed", "manyminima", 1000, partial(damage_ours, flip)),
    "flips h5": ("one byte changed", "Keras: .weights.h5", 1000, partial(damage_keras, flip, ".weights.h5")),
    "flips keras": ("one byte changed", "Keras: .keras", 1000, partial(damage_keras, flip, ".keras")),
    "cuts": ("a file cut short", "manyminima", 200, partial(damage_ours, cut)),
    "cuts h5": ("a file cut short", "Keras: .weights.h5", 200, partial(damage_keras, cut, ".weights.h5")),
    "cuts keras": ("a file cut short", "Keras: .keras", 200, partial(damage_keras, cut, ".keras")),
    "full": ("disk full", "manyminima", 100, full_ours),
    "full keras": ("disk full", KERAS, 100, full_keras),
}
ROUND = 10  # trainings in one process; the others are made in as many as they are


def recorded() -> dict[str, dict]:
    return json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}


def record(name: str, outcome: dict[str, int]) -> None:
    """Add counts to those that are recorded."""
    results = recorded()
    row = results.setdefault(name, {"fault": PARTS[name][0], "who": PARTS[name][1]})
    for count, n in outcome.items():
        row[count] = row.get(count, 0) + n
    ordered = {part: results[part] for part in PARTS if part in results}
    write(RESULTS, {"environment": environment("h5py", "safetensors"), "results": ordered})
    print(f"{name}: {row}", flush=True)


def make(part: str) -> None:
    """Do what is missing of a part, in processes of their own: what is killed is forked, which threads would forbid."""
    times = PARTS[part][2]
    while (done := recorded().get(part, {}).get("times", 0)) < times:
        n = min(ROUND, times - done) if part == "training" else times - done
        env = {"KERAS_BACKEND": "torch" if part == "training" else "numpy", "TF_CPP_MIN_LOG_LEVEL": "3"}
        outcome = in_child(__file__, "--alone", part, str(n), str(done), env=env)
        both = dict(zip(("training", "resumed"), outcome, strict=True)) if part == "training" else {part: outcome}
        for name, counts in both.items():
            record(name, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        part, times, seed = options.alone
        print(json.dumps(PARTS[part][3](int(times), int(seed))))
        return
    for part in options.parts.split(","):
        make(part)


if __name__ == "__main__":
    main()
