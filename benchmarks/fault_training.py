"""Trainings with `fit` and Collect, killed at random moments and gone on with."""

import io
import os
import random
import select
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from fault_subjects import folder

EPOCHS = 24


def train(path: Path, tell: Callable[[int], None]) -> None:
    """Train with `fit` and Collect, and go on with whatever is there; tell of each epoch that begins."""
    import keras
    import torch

    import manyminima as mm
    from manyminima.training import resuming

    resuming.BOUNDARY, resuming.WITHIN, resuming.PAUSE = (
        0.05,
        0.1,
        0.0,
    )  # states are rare in so short a training otherwise
    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 8)).astype("float32"), rng.integers(0, 3, 256)
    hidden = [keras.layers.Dense(64, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")

    class Tell(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            tell(epoch)

    recipe = mm.recipes.snapshot(cycles=EPOCHS // 2, peak=0.01)
    collect = mm.Collect(recipe, into=path, best="loss", resume=True)
    batches = mm.datasets.Batches(x, y, 16, seed=0)
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[collect, Tell()])


def import_before_forking() -> None:
    for module in ("keras", "torch", "manyminima.datasets", "manyminima.training.collect"):
        import_module(module)


def forked(path: Path, seconds: float | None) -> tuple[list[int], bool]:
    """Train in a forked process, until its end or for so many seconds from its first epoch on; tell whether it ended."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(path, lambda epoch: os.write(tell, epoch.to_bytes(4, "little")))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(tell)
    with open(told, "rb", buffering=0) as file:
        content, until = file.read(4), None if seconds is None else time.monotonic() + seconds
        while more := _within(file, until):
            content += more
        if until is not None and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)  # one that has ended meanwhile is not waited for yet, so it has its id
            content += file.readall() or b""
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the training in '{path}' failed")
    return np.frombuffer(content, "<u4").tolist(), not os.WIFSIGNALED(status)


def _within(file: io.FileIO, until: float | None) -> bytes:
    """Return what is written to a pipe next; nothing when its writer has ended, or the time has come."""
    left = None if until is None else max(until - time.monotonic(), 0)
    return file.read(4096) if select.select([file], [], [], left)[0] else b""


def members_of(path: Path) -> dict[int, list[bytes]]:
    from manyminima.runs.snapshots import Snapshots

    run = Snapshots(path)
    return {member.step: [w.tobytes() for w in run.read(member)] for member in run.members}


def judge_killed(path: Path, epochs: list[int], expected: dict[int, list[bytes]], outcome: Counter) -> None:
    from manyminima.runs.verify import inspect

    # One member may be under way and one may wait when an epoch begins; a cycle has two epochs.
    complete = max(max(epochs) // 2 - 2, 0)
    outcome["times"] += 1
    outcome["complete members"] += complete
    try:
        found = members_of(path)
    except (ValueError, OSError):
        outcome["lost"] += complete
        return
    outcome["loaded"] += 1
    outcome["lost"] += max(complete - len(found), 0)
    outcome["wrong"] += sum(found[step] != expected[step] for step in found)
    outcome["half files"] += len(inspect(path).problems)


def resumes(times: int, seed: int) -> tuple[Counter, Counter]:
    """Kill trainings at random moments, look at what is left, and go on until the end; compare with one never killed."""
    import_before_forking()
    left, resumed, rng = Counter(), Counter(), random.Random(seed)
    with folder() as path:
        started = time.perf_counter()
        forked(path, None)
        longest, expected = time.perf_counter() - started, members_of(path)
    while resumed["times"] < times:
        with folder() as path:
            ended, kills = False, 0
            while not ended:
                epochs, ended = forked(path, rng.uniform(0, longest) if kills < 2 else None)
                if not ended:
                    kills += 1
                    judge_killed(path, epochs, expected, left)
            found = members_of(path)
            resumed["times"] += kills
            resumed["loaded"] += kills
            resumed["complete members"] += len(expected) if kills else 0
            resumed["lost"] += len(expected.keys() - found.keys())
            resumed["wrong"] += sum(found[step] != expected.get(step) for step in found)
    return left, resumed
