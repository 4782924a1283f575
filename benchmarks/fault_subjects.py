"""What faults are injected into: a run of ours, and what Keras's own callbacks write; and how each is read afterwards."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

SIZE = 50_000  # numbers in a member: large enough to be caught half written


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path, "run")


def weights_of(step: int) -> list[np.ndarray]:
    return [np.full((SIZE // 100, 100), step, "float32"), np.full(100, step, "float32")]


def is_of(weights: list[np.ndarray], step: int) -> bool:
    return len(weights) == 2 and all((w == step).all() for w in weights)


def write_ours(path: Path, tell: Callable[[int], None]) -> None:
    from manyminima.runs.snapshots import Snapshots

    run = Snapshots(path)
    for step in range(1, 100_000):
        run.add(weights_of(step), step)
        tell(step)
        if step % 5 == 0:
            run.add_best(weights_of(step), step)


def judge_ours(path: Path, done: list[int], outcome: Counter) -> None:
    from manyminima.runs.snapshots import Snapshots
    from manyminima.runs.verify import inspect

    outcome["times"] += 1
    outcome["complete members"] += len(done)
    if not (path / "run.json").exists() and not done:
        outcome["loaded"] += 1  # nothing was there to be lost
        return
    try:
        run = Snapshots(path)
        found = {member.step: run.read(member) for member in run.members}
        if (path / "best.safetensors").exists():
            best, weights = run.best
            outcome["wrong"] += not is_of(weights, best.step)
    except (ValueError, OSError):
        outcome["lost"] += len(done)
        return
    outcome["loaded"] += 1
    outcome["lost"] += len(set(done) - found.keys())
    outcome["wrong"] += sum(not is_of(weights, step) for step, weights in found.items())
    outcome["half files"] += len(inspect(path).problems)


def model_of_keras():
    import keras

    model = keras.Sequential([keras.Input((SIZE // 100,)), keras.layers.Dense(100)])
    model.compile("sgd", "mse")  # without an optimizer BackupAndRestore never restores
    model.optimizer.build(model.trainable_variables)
    return model


def callbacks_of_keras(path: Path, model) -> list:
    import keras

    files = keras.callbacks.ModelCheckpoint(path / "{epoch:05d}.weights.h5", save_weights_only=True)
    state = keras.callbacks.BackupAndRestore(path / "state")
    for callback in (files, state):
        callback.set_model(model)
    return [files, state]


def write_keras(path: Path, tell: Callable[[int], None]) -> None:
    path.mkdir()
    model = model_of_keras()
    callbacks = callbacks_of_keras(path, model)
    for step in range(1, 100_000):
        model.set_weights(weights_of(step))
        for callback in callbacks:
            callback.on_epoch_end(step - 1, {})
        tell(step)


def judge_keras(path: Path, done: list[int], outcome: Counter) -> None:
    outcome["times"] += 1
    outcome["complete members"] += len(done)
    model = model_of_keras()
    files = sorted(path.glob("*.weights.h5")) if path.exists() else []
    for file in files:
        step = int(file.name[:5])
        try:
            model.load_weights(file)
        except Exception:
            outcome["half files"] += 1
            outcome["lost"] += step in done
        else:
            outcome["wrong"] += not is_of(model.get_weights(), step)
    outcome["lost"] += len(set(done) - {int(file.name[:5]) for file in files})
    outcome["loaded"] += restores(path, model, outcome)


def restores(path: Path, model, outcome: Counter) -> bool:
    """Tell whether BackupAndRestore gives back a state without an error; one of two moments counts as wrong."""
    if not (path / "state").exists():
        return True
    model.set_weights(weights_of(0))
    try:
        callbacks_of_keras(path, model)[1].on_train_begin()
    except Exception:
        outcome["state lost"] += 1
        return False
    outcome["wrong"] += not is_of(model.get_weights(), getattr(model, "_initial_epoch", None) or 0)
    return True
