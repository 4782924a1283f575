"""Going on with an interrupted training as if nothing had happened: what is saved of a `fit`, when, and how it is put back.

A state holds the weights, the optimizer's variables, the states of random generators (those of layers are variables of the
model), metrics, folds, what Keras's callbacks remember, `History`, and where the data are. It is that of one moment: before a
step of which Keras tells its callbacks. An interrupted `fit` goes on from the newest state; batches of its epoch that were
trained on by then are drawn again and passed over.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from manyminima.runs import resume
from manyminima.runs.behind import Behind, settle
from manyminima.training import beside, generators
from manyminima.training.places import directories
from manyminima.training.rate import innermost
from manyminima.training.sameness import check_same
from manyminima.training.skipping import Skipping
from manyminima.training.source import Source

__all__ = ["Resuming"]

# Seconds from one state to the next: at a collection or between epochs, and within an epoch.
BOUNDARY, WITHIN = 1.0, 60.0
# A state that took one second to save is followed by none for so many seconds.
PAUSE = 20.0


class Resuming:
    """The states of one `fit`: saved in the first directory among `folds`, and the one found there when it begins.

    Args:
        folds: where members go.
        callbacks: the others of this `fit`.
        adapter: what Keras draws its batches from; None if that is not known.

    Attributes:
        past: the state that an earlier `fit` has left; None if there is none to go on from.
        lost: why the order of the rows cannot be had again; "" if it can.

    Raises:
        ValueError: there is no directory, or a fold or a callback that cannot go on.
        FileExistsError: the directory holds a run that has kept no state.
    """

    def __init__(self, folds: Sequence, callbacks: Sequence, adapter: Any):
        places = directories(folds)
        if not places:
            raise ValueError(
                'resume=True needs a directory to keep the state in, and into= names none: write into="runs/x".'
            )
        _check_folds(folds)
        _check_callbacks(callbacks)
        self._folds, self._callbacks, self._source = folds, callbacks, Source.of(adapter)
        self.lost = self._source.lost
        settle()
        self._run = places[0].path
        self.past: dict[str, Any] | None = _found(self._run)
        self._busy, self._cost, self._saved, self._newest = False, 0.0, -math.inf, -1
        self._skipping: Skipping | None = None

    # -- the state that was found --------------------------------------------------------------------------------------

    def prepare(self, model: keras.Model) -> None:
        """Let the optimizer's count be what it was when the run began: schedules and averages start from there."""
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if self.past is not None:
            innermost(model.optimizer)._iterations.assign(self.past["start"])
        self._start = int(keras.ops.convert_to_numpy(innermost(model.optimizer)._iterations))

    def take_up(self, run: Mapping[str, Any]) -> None:
        """Let the folds go on with what they have, once it is known that this is the training that was interrupted.

        Raises:
            ValueError: it is another one; the message says in what.
        """
        past = self.past
        assert past is not None
        for place in directories(self._folds):
            held = {**place.run, "source": past["source"], "callbacks": past["beside"], "folds": past["kinds"]}
            wanted = {**run, "data": place._data, "source": self._source.about}
            wanted |= {"callbacks": beside.names(self._callbacks), "folds": _kinds(self._folds)}
            check_same(place.path, held, wanted)
        for fold, state in zip(self._folds, past["folds"], strict=True):
            fold.take_up(run, state)

    def put_back(self, model: keras.Model) -> dict[str, Any]:
        """Give model, optimizer, generators and data the state that was found, and return it."""
        past = self.past
        assert past is not None
        for name, variables in _variables(model).items():
            if name != "metrics" or (past["batch"] and _metrics_built(model, past)):
                _assign(variables, past["variables"][name], self._run)
        self.put_back_beside(model)
        if self._source.dataset is not None and past["data_epoch"] is not None:
            self._source.dataset.epoch = past["data_epoch"]
        generators.put_back(past["order"])
        if past["batch"]:
            self._skipping = Skipping(model, past["batch"], lambda batch: self._skipped(model, batch))
        self._saved, self._newest = time.monotonic(), past["step"]
        return past

    def _skipped(self, model: keras.Model, batch: Any) -> None:
        """Put back what goes with the first batch that is trained on."""
        past = self.past
        assert past is not None
        if not _metrics_built(model, past):
            model._symbolic_build(data_batch=batch)
            _assign(model.metrics_variables, past["variables"]["metrics"], self._run)
        generators.put_back(past["generators"])

    def put_back_beside(self, model: keras.Model) -> None:
        """Give the other callbacks what they remembered, and `History` the epochs before."""
        past = self.past
        assert past is not None
        beside.put_back(self._callbacks, past["callbacks"])
        model.history.epoch = list(past["history"]["epoch"])
        model.history.history = {name: list(values) for name, values in past["history"]["logs"].items()}

    def stop_skipping(self) -> None:
        """Leave no stand-in behind in the model."""
        if self._skipping is not None:
            self._skipping.remove()

    # -- states to save ------------------------------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Note how the order of this epoch's rows comes about."""
        self._order, self._data_epoch = generators.states(), self._epoch_of_data()

    def due(self, step: int) -> bool:
        """Tell whether to save a state before the first step of an epoch."""
        return self._due(step, BOUNDARY)

    def due_within(self, step: int, collects: bool) -> bool:
        """Tell whether to save a state within an epoch; `collects`: a member is collected at this step."""
        return not self.lost and self._due(step, BOUNDARY if collects else WITHIN)

    def _due(self, step: int, pause: float) -> bool:
        if self._busy or step <= self._newest:
            return False
        return time.monotonic() - self._saved >= max(pause, PAUSE * self._cost)

    def save(self, model: keras.Model, behind: Behind, own: Mapping[str, Any]) -> None:
        """Take the state of this moment and have it written behind training; `own` is what Collect itself has to say."""
        begun, now, within = time.monotonic(), generators.states(), bool(own["batch"])
        state = {
            **own,
            "start": self._start,
            "source": self._source.about,
            "data_epoch": self._data_epoch if within else self._epoch_of_data(),
            "order": self._order if within else now,
            "generators": now if within else None,
            "variables": {name: _numbers(variables) for name, variables in _variables(model).items()},
            "kinds": _kinds(self._folds),
            "folds": [fold.state() for fold in self._folds],
            "beside": beside.names(self._callbacks),
            "callbacks": beside.states(self._callbacks),
            "history": _history(model.history),
        }
        self._busy, self._newest = True, own["step"]
        behind.submit((self, "state"), self._write, state, begun, time.monotonic() - begun)

    def _write(self, state: dict[str, Any], begun: float, taking: float) -> None:
        writing = time.thread_time()  # waiting for the disk keeps nobody from training
        resume.write(self._run, state)
        self._cost, self._saved = taking + time.thread_time() - writing, begun
        self._busy = False

    def _epoch_of_data(self) -> int | None:
        return None if self._source.dataset is None else self._source.dataset.epoch


def _found(run: Any) -> dict[str, Any] | None:
    found = resume.look(run)
    if found is not None and found.step is None and not resume.kept(run):
        raise FileExistsError(
            f"'{run}' already holds {found}, but no state to go on from: it was made without resume=True. Choose another "
            f"directory, or delete it."
        )
    return resume.read(run) if found is not None else None


def _check_folds(folds: Sequence) -> None:
    places = list(folds)
    for fold in places:  # which grows meanwhile: an average may go into an average
        if getattr(fold, "into", None) is not None:
            places.append(fold.into)
        if not hasattr(fold, "state") or not hasattr(fold, "take_up"):
            raise ValueError(
                f"resume=True does not know how to go on with {fold!r}: give it `state()`, which returns plain data and arrays, "
                f"and `take_up(run, state)`, which is called instead of `begin`; or leave it out of into=."
            )


def _check_callbacks(callbacks: Sequence) -> None:
    for other in callbacks:
        if isinstance(other, keras.callbacks.BackupAndRestore):
            raise ValueError("resume=True and BackupAndRestore would both go on with this training: remove the latter.")
        if hasattr(other, "recipe") and hasattr(other, "folds"):
            raise ValueError(
                "resume=True works for one Collect in a fit, and there are two. Give all places to one of them: into=[…]."
            )


def _kinds(folds: Sequence) -> list[str]:
    return [" of ".join([type(fold).__name__, *([fold.rule.kind] if hasattr(fold, "rule") else [])]) for fold in folds]


def _variables(model: keras.Model) -> dict[str, list]:
    return {
        "trainable": model.trainable_variables,
        "non_trainable": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


def _metrics_built(model: keras.Model, past: Mapping[str, Any]) -> bool:
    """Tell whether the metrics have their variables: TensorFlow makes them in the first step."""
    return len(model.metrics_variables) == len(past["variables"]["metrics"])


def _numbers(variables: Sequence) -> list[np.ndarray]:
    """Return host copies; torch hands out its own memory, in which training goes on."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def _assign(variables: Sequence, values: Sequence[np.ndarray], run: Any) -> None:
    if [tuple(v.shape) for v in variables] != [a.shape for a in values]:
        raise ValueError(
            f"the state in '{run}' does not fit: its variables have other shapes than those of this model and optimizer. Go on "
            f"with the program that began it, or choose another directory."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _history(history: Any) -> dict[str, Any]:
    """Return the logs of all epochs as plain data: numbers as they are, and metrics of several classes as arrays."""

    def plain(value):
        return value if isinstance(value, int | float) else np.array(keras.ops.convert_to_numpy(value))

    return {"epoch": list(history.epoch), "logs": {k: list(map(plain, v)) for k, v in history.history.items()}}
