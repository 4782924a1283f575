"""Faults: a writer killed, a disk that is full, a byte that changes, a file that is cut; and what is counted after each."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from fault_subjects import SIZE, callbacks_of_keras, folder, judge_keras, judge_ours, model_of_keras, weights_of

LONGEST = 0.25  # seconds until a writer is killed

# -- killing: a child writes one member after the other, and tells of each that is complete ----------------------------------


def killed(writer: Callable[[Path, Callable[[int], None]], None], path: Path, seconds: float) -> list[int]:
    """Fork a writer, kill it after so many seconds, and return the steps that it had told of."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            writer(path, lambda step: os.write(tell, step.to_bytes(4, "little")))
        os._exit(1)
    os.close(tell)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the writer ended by itself")
    with open(told, "rb") as file:
        return list(np.frombuffer(file.read(), "<u4"))


def kills(writer: Callable, judge: Callable, times: int, seed: int) -> Counter:
    outcome, rng = Counter(), random.Random(seed)
    for _ in range(times):
        with folder() as path:
            judge(path, killed(writer, path, rng.uniform(0, LONGEST)), outcome)
    return outcome


# -- full disk -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes; writing more fails as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_ours(times: int, seed: int) -> Counter:
    from manyminima.runs.snapshots import Snapshots

    outcome, rng = Counter(), random.Random(seed)
    for _ in range(times):
        with folder() as path:
            run = Snapshots(path)
            for step in (1, 2, 3):
                run.add(weights_of(step), step)
            with room_for(rng.randrange(4 * SIZE)):
                try:
                    run.add(weights_of(4), 4)
                except OSError as error:
                    outcome["noticed"] += "Make room" in str(error)
            judge_ours(path, [1, 2, 3], outcome)
            outcome["half files"] += len(list(path.rglob("*.tmp")))
    return outcome


def errors_without_room(callbacks: list, size: int) -> int:
    """Return how many callbacks tell of a full disk; each has its own, for an earlier error would hide a later one."""
    told = 0
    with room_for(size):
        for callback in callbacks:
            try:
                callback.on_epoch_end(3, {})
            except Exception:
                told += 1
    return told


def in_fork(call: Callable[[], int]) -> int | None:
    """Return what a call returns, made in a process of its own; None if that crashes."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(call())
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def full_keras(times: int, seed: int) -> Counter:
    outcome, rng = Counter(), random.Random(seed)
    model = model_of_keras()
    for _ in range(times):
        with folder() as path:
            path.mkdir()
            callbacks = callbacks_of_keras(path, model)
            for step in (1, 2, 3):
                model.set_weights(weights_of(step))
                for callback in callbacks:
                    callback.on_epoch_end(step - 1, {})
            model.set_weights(weights_of(4))
            told = in_fork(partial(errors_without_room, callbacks, rng.randrange(4 * SIZE)))
            outcome["noticed"] += told == len(callbacks)
            outcome["crashed"] += told is None
            judge_keras(path, [1, 2, 3], outcome)
    return outcome


# -- bytes changed, and files cut ------------------------------------------------------------------------------------------


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def small(step: int) -> list[np.ndarray]:
    return [np.random.default_rng(step).normal(size=(20, 10)).astype("float32")]


def damage_ours(damage: Callable, times: int, seed: int) -> Counter:
    from manyminima.runs.snapshots import Snapshots

    outcome, rng = Counter(), random.Random(seed)
    with folder() as whole:
        run = Snapshots(whole)
        for step in (1, 2, 3):
            run.add(small(step), step, epoch=step / 2, logs={"loss": 1 / step})
        run.add_best(small(2), 2)
        expected = everything(whole)
        files = sorted(path.relative_to(whole) for path in whole.rglob("*.*") if path.is_file())
        for _ in range(times):
            with folder() as path:
                shutil.copytree(whole, path)
                file = rng.choice(files)
                damage(path / file, rng)
                look_ours(path, whole, file, expected, outcome)
    return outcome


def everything(path: Path) -> dict:
    """Return all that a run says and holds."""
    from manyminima.runs.snapshots import Snapshots

    run = Snapshots(path)
    best, weights = run.best
    about = {k: v for k, v in run.about.items() if k != "path"}
    return {
        "about": json.dumps(about, sort_keys=True),
        "best": (best, [w.tobytes() for w in weights]),
        "members": {m.step: [w.tobytes() for w in run.read(m)] for m in run.members},
    }


def look_ours(path: Path, whole: Path, file: Path, expected: dict, outcome: Counter) -> None:
    from manyminima.runs.rebuild import rebuild_index

    outcome["times"] += 1
    try:
        found = everything(path)
    except (ValueError, OSError):
        outcome["noticed"] += 1
    else:
        outcome["harmless" if found == expected else "wrong"] += 1
        outcome["loaded"] += 1
        return
    # What the messages say: move a damaged member out, write the index anew, restore run.json from a copy.
    if file.name == "index.json":
        rebuild_index(path)
    elif file.name == "run.json":
        shutil.copy(whole / file, path / file)
    else:
        (path / file).unlink()
        rebuild_index(path)
        if file.name.startswith("best"):
            shutil.copy(whole / file, path / file)
    left = {step for step in (1, 2, 3) if f"s{step:08d}" not in file.name}
    try:
        found = everything(path)["members"]
    except (ValueError, OSError):
        outcome["lost"] += len(left)
        return
    outcome["loaded"] += 1
    outcome["lost"] += len(left - found.keys())
    outcome["wrong"] += sum(found[step] != expected["members"][step] for step in found)


def damage_keras(damage: Callable, suffix: str, times: int, seed: int) -> Counter:
    import keras

    outcome, rng = Counter(), random.Random(seed)
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(10, use_bias=False)])
    model.set_weights(small(1))
    with folder() as path:
        path.mkdir()
        whole, damaged = path / f"whole{suffix}", path / f"damaged{suffix}"
        (model.save if suffix == ".keras" else model.save_weights)(whole)
        for _ in range(times):
            outcome["times"] += 1
            shutil.copy(whole, damaged)
            damage(damaged, rng)
            model.set_weights([np.zeros((20, 10))])
            try:
                if suffix == ".keras":
                    found = keras.saving.load_model(damaged).get_weights()
                else:
                    model.load_weights(damaged)
                    found = model.get_weights()
            except Exception:
                outcome["noticed"] += 1
                continue
            same = [w.tobytes() for w in found] == [w.tobytes() for w in small(1)]
            outcome["harmless" if same else "wrong"] += 1
            outcome["loaded"] += 1
    return outcome
