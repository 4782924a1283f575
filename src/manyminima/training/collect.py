"""The one callback: drive the learning rate as a recipe says, and hand the weights to folds when it says so."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from manyminima.recipes import Recipe
from manyminima.runs import tasks
from manyminima.runs.architecture import describe, summarise
from manyminima.runs.behind import Behind
from manyminima.runs.format import Member
from manyminima.runs.snapshots import Snapshots
from manyminima.training import averages, caller, instep, rate
from manyminima.training.best import Best
from manyminima.training.memory import Memory
from manyminima.training.record import describe_run
from manyminima.training.validate import PREFIX

__all__ = ["Collect"]


class Collect(keras.callbacks.Callback):
    """Collects members during one `model.fit`, and drives the learning rate if the recipe has a schedule.

    The schedule runs inside the compiled training step, counted in batches from the start of this `fit`; it takes the
    place of the optimizer's own learning rate, which is back afterwards. (After an exception it is put back by the next
    Collect.) Momentum and moments are kept at restarts. The model itself ends with the weights of its last step.

    Epoch logs, and so `History`, gain "learning_rate" (of the epoch's last batch); `history.members` lists every member
    with its step, epoch and logs.

    Args:
        recipe: one of `mm.recipes`, or any object with `plan(epochs, steps_per_epoch)`.
        into: where members go: a directory, a fold (`mm.Mean()`, or anything with `add(weights, step, *, epoch, logs)`), or
            a list of these; None keeps them in memory, `Ensemble(model, collect.members)`. Recipes that are averages, such
            as `swa`, make one of what they collect.
        best: a log to watch at epoch ends, such as "val_loss", or "max:val_kappa" to name the direction. The best single
            model is kept apart from the members; of "val_avg_loss", the best average.
        validation_data: (x, y) on which the average in `into` is judged at epoch ends: logs gain "val_avg_loss" and so on,
            for callbacks that come after this one in the list, as EarlyStopping("val_avg_loss", mode="min"). The raw weights
            are not touched.
        task: "multiclass", "binary", "multilabel" or "regression"; a dict for several outputs. None infers it from the loss.
        from_logits: whether outputs are logits; None takes it from the loss.

    Raises:
        ValueError: before training, if the recipe does not fit the run, the optimizer or the other callbacks.
        FileExistsError: before training, if a directory already holds a run.

    Example:
        model.fit(x, y, epochs=60, callbacks=[mm.Collect(mm.recipes.snapshot(cycles=5, peak=0.1), into="runs/x")])
    """

    def __init__(
        self,
        recipe: Recipe,
        into: Any = None,
        *,
        best: str | None = None,
        validation_data: Any = None,
        task: str | Mapping[str, str] | None = None,
        from_logits: bool | None = None,
    ):
        super().__init__()
        if not hasattr(recipe, "plan") or isinstance(recipe, type):
            raise TypeError(f"expected a recipe, such as mm.recipes.snapshot(cycles=5, peak=0.1), got {recipe!r}.")
        self.recipe = recipe
        self.folds = _folds(into, getattr(recipe, "fold", None))
        averages.check(self.folds, validation_data)
        self._validation_data = validation_data
        if best and not any(hasattr(fold, "add_best") for fold in self.folds):
            raise ValueError(
                f"best={best!r}, but no place in into= keeps a best model: add one, as in into=[fold, None]."
            )
        self._monitor, self._best = best, Best(best) if best else None
        self._task, self._from_logits = task, from_logits
        self._driver: rate.Driver | None = None
        self._averages: averages.Averages

    @property
    def members(self):
        """The first fold: iterate over it for the members' weights."""
        return self.folds[0]

    # -- before the first batch --------------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Remember that this `fit` is not prepared yet."""
        self._prepared, self._driver = False, None
        self._siblings, self._validates = caller.siblings(self), caller.validates(self)

    def on_epoch_begin(self, epoch, logs=None):
        """Prepare on the first epoch: only now is it known how many there will be, `initial_epoch` considered."""
        if not self._prepared:
            with _nothing_left_on_error(self.model):
                self._prepare(self.model, epochs=self.params["epochs"] - epoch)
        self._last_batch = 0

    def _prepare(self, model: keras.Model, epochs: int) -> None:
        steps = self.params["steps"]
        if steps is None:
            raise ValueError(
                "the number of steps per epoch is unknown, so cycles cannot be placed. "
                "Pass steps_per_epoch= to fit, or give it data with a length."
            )
        if not model.built:  # TensorFlow builds subclassed models in the first batch, too late to describe them
            raise ValueError(f"model '{model.name}' has no weights yet. Call it once before fit: model(x[:1]).")
        _remove_leftovers(model, self._siblings)
        self._best = self._new_best()
        recipe = rate.with_peak(self.recipe, model.optimizer)
        plan = recipe.plan(epochs, steps)
        due = [n for n in range(1, epochs * steps + 1) if plan.when(n)]
        self._check_due(recipe, due, steps, model.steps_per_execution)
        averages.check_times(self.folds, epochs * steps, due[0], rate.innermost(model.optimizer))
        if plan.lr is not None:
            rate.check_alone(self, model.optimizer, self._siblings)
        run = describe_run(recipe, plan, model, due, epochs=epochs, steps=steps)
        run["tasks"] = tasks.to_json(tasks.of_model(model, self._task, self._from_logits))
        self._claim(model, run)
        self._steps, self._due, self._step = steps, due, 0
        self._collected: list[Member] = []
        self._next_due = due[0]
        self._averages = averages.Averages(model, self.folds, epochs * steps, self._validation_data, owner=self)
        if plan.lr is not None:
            self._driver = rate.Driver.install(model, plan.lr, owner=self)
        self._prepared = True

    def _new_best(self) -> Best | None:
        if self._monitor is None:
            return None
        ours = self._monitor.rpartition(":")[2].startswith(PREFIX)
        if ours and self._validation_data is None:
            raise ValueError(f"best={self._monitor!r} needs mm.Collect(…, validation_data=(x_val, y_val)).")
        return Best(self._monitor, None if ours else self._validates)

    @staticmethod
    def _check_due(recipe, due: list[int], steps: int, together: int) -> None:
        if not due:
            raise ValueError(f"{recipe} collects nothing in this run. Ask for at least one member.")
        missed = [n for n in due if n % steps % together]
        if missed:
            raise ValueError(
                f"{recipe} collects after step {missed[0]}, but the model is compiled with steps_per_execution={together}, "
                f"and Keras cannot be stopped between. Expected multiples of {together} within each epoch of {steps} steps: "
                f"compile with steps_per_execution=1, or change the number of cycles or epochs."
            )

    def _claim(self, model: keras.Model, run: dict[str, Any]) -> None:
        """Announce the run to every fold, with the architecture for those that want to rebuild the model."""
        others = [fold for other in self._siblings if isinstance(other, Collect) for fold in other.folds]
        _check_directories([*self.folds, *others])
        rebuilt = any(getattr(fold, "rebuild", False) for fold in self.folds)
        run["model"] = describe(model) if rebuilt else summarise(model)
        for fold in self.folds:
            if hasattr(fold, "begin"):
                fold.begin(run)
        self._behind = Behind()
        for place in _directories(self.folds):
            place.write_behind(self._behind)

    # -- while training ----------------------------------------------------------------------------------------------

    def on_train_batch_begin(self, batch, logs=None):
        """Collect what was due after the batch before.

        Not in `on_train_batch_end`: overriding that one turns Keras's asynchronous dispatch off, and costs half as much
        again on JAX even when it does nothing. `self.model` is touched only when a member is due, for the same reason.
        """
        self._last_batch = batch
        if self._step + batch == self._next_due or self._behind.failed:
            model = self.model
            with _nothing_left_on_error(model):
                self._behind.check()
                self._collect(model, self._step + batch, model.get_metrics_result())

    def on_epoch_end(self, epoch, logs=None):
        """Collect what is due at the epoch's end, with validation logs; keep the best; complete the logs."""
        model = self.model
        with _nothing_left_on_error(model):
            self._end_epoch(model, {} if logs is None else logs)

    def _end_epoch(self, model: keras.Model, logs: dict[str, Any]) -> None:
        self._behind.check()
        # A callback may have ended the epoch early, and steps_per_execution batches run at once.
        self._step += min(self._steps, self._last_batch + model.steps_per_execution)
        if self._driver is not None:
            self._driver.check_untouched()
            logs["learning_rate"] = rate.rate_at(self._driver.schedule, self._step - 1)
        if self._step == self._next_due:
            self._collect(model, self._step, logs)
        logs.update(self._averages.logs())
        if self._best is not None and self._best.improved_by(_single_numbers(logs)):
            self._keep_best(model, logs, of_average=self._best.name.startswith(PREFIX))

    def _collect(self, model: keras.Model, step: int, logs: Mapping[str, Any]) -> None:
        about = {"epoch": step / self._steps, "logs": _single_numbers(logs)}
        weights = model.get_weights()
        for fold in self.folds:
            self._averages.hand_over(fold, weights, step, about)
        member = Member("", step, **about, bytes=sum(w.nbytes for w in weights))
        self._collected.append(member)
        self._next_due = next((n for n in self._due if n > step), None)
        self._say(_line(member, len(self._collected), len(self._due)))

    def _keep_best(self, model: keras.Model, logs: Mapping[str, Any], of_average: bool) -> None:
        about = {"epoch": self._step / self._steps, "logs": _single_numbers(logs)}
        weights = self._averages.present() if of_average else model.get_weights()
        for fold in self.folds:
            if hasattr(fold, "add_best"):
                fold.add_best(weights, self._step, **about)

    def on_train_end(self, logs=None):
        """Put the optimizer's rate back, and say what was not collected."""
        if self._driver is not None:
            self._driver.remove()
            self._driver = None
        if self._prepared:
            self._averages.complete(self._step, {"epoch": self._step / self._steps})
            self._averages.remove()
            self._behind.close()
            if len(self._collected) < len(self._due):
                self._say(
                    f"training ended at step {self._step}: {len(self._collected)} of {len(self._due)} members were collected"
                )
            self._model.history.members = list(self._collected)

    def _say(self, line: str) -> None:
        verbose = self.params.get("verbose")
        if verbose:
            print(f"\n{line}" if verbose in (1, "auto") else line)  # these show a progress bar, which ends no line


@contextlib.contextmanager
def _nothing_left_on_error(model: keras.Model):
    """Give the optimizer back as it was if we end the `fit` with an error: nobody tells us of its end then."""
    try:
        yield
    except BaseException:
        _remove_leftovers(model)
        raise


def _remove_leftovers(model: keras.Model, others: Sequence = ()) -> None:
    """Put right what an earlier `fit` left in the optimizer when it ended in an exception; `others` are part of this one."""
    rate.remove_leftover(model, others)
    instep.remove_leftover(model, others)


def _folds(into: Any, wrap: Any) -> tuple:
    entries = into if isinstance(into, list | tuple) else (into,)
    entries = [wrap(e) if wrap and (e is None or isinstance(e, str | os.PathLike | Snapshots)) else e for e in entries]
    folds = tuple(Memory() if e is None else Snapshots(e) if isinstance(e, str | os.PathLike) else e for e in entries)
    for fold in folds:
        if not hasattr(fold, "add") or not hasattr(fold, "__iter__"):
            raise TypeError(
                f'into={fold!r} is no directory and no fold (with `add` and iteration): write into="runs/x".'
            )
    if not folds:
        raise ValueError('into=[] names no place for members: write into="runs/x", or into=None for memory.')
    return folds


def _directories(folds: Iterable) -> list[Snapshots]:
    """Return the runs on disk among folds, and those that averages are written to."""
    places = list(folds)
    for place in places:  # which grows meanwhile: an average may go into an average
        if getattr(place, "into", None) is not None:
            places.append(place.into)
    return [place for place in places if isinstance(place, Snapshots)]


def _check_directories(folds: Sequence) -> None:
    paths = [os.path.realpath(place.path) for place in _directories(folds)]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two members would be written to '{twice}' at each collection: give each run a directory of its own."
        )


def _single_numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the logs that are one number; metrics of several classes log an array, which is no score of a member."""
    arrays = {name: keras.ops.convert_to_numpy(value) for name, value in logs.items()}
    return {name: float(array.item()) for name, array in arrays.items() if array.size == 1}


def _line(member: Member, count: int, total: int) -> str:
    watched: Sequence[str] = [k for k in ("val_loss", "loss") if k in member.logs]
    score = f"{watched[0]} {member.logs[watched[0]]:.4g}, " if watched else ""
    return f"member {count}/{total} at step {member.step}, epoch {member.epoch:.4g}: {score}{member.bytes / 1e6:.2g} MB"
