"""The one callback: drive the learning rate as a recipe says, and hand the weights to folds when it says so."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import keras

from manyminima.recipes import Recipe
from manyminima.runs import tasks
from manyminima.runs.architecture import describe, summarise
from manyminima.runs.behind import Behind
from manyminima.runs.format import Member
from manyminima.training import averages, caller, planning, rate
from manyminima.training.best import kept_by, watching
from manyminima.training.diverged import Finite, diverged_line, stopped_text
from manyminima.training.leftovers import nothing_left_on_error, remove_leftovers
from manyminima.training.places import as_folds, check_directories, directories, refuse_interrupted
from manyminima.training.resuming import Resuming
from manyminima.training.telling import ended_line, member_line, past_line, single_numbers
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
        resume: keep the state of the training in the run, between epochs and when members are collected, about once a second
            at most (within long epochs once a minute). The same program, started again, goes on from there: with
            `mm.datasets.Batches`, and with arrays on JAX and torch, to bit for bit the members and the `History` of a
            training that was never interrupted. Of other data the order cannot be had again: it goes on with the last epoch
            that was not finished, in a new order. A run that has ended trains nothing, and the model gets its last weights.
        diverged: what happens when the weights are not finite, which are never stored: "stop" ends the training with a
            FloatingPointError, "go on" does not. The run and its report tell of it.
        task: "multiclass", "binary", "multilabel" or "regression"; a dict for several outputs. None infers it from the loss.
        from_logits: whether outputs are logits; None takes it from the loss.

    Raises:
        ValueError: before training, if the recipe does not fit the run, the optimizer or the other callbacks, or if what is to
            be resumed is another training.
        FileExistsError: before training, if a directory already holds a run.
        FloatingPointError: in training, if that has diverged.

    Example:
        model.fit(x, y, epochs=60, callbacks=[mm.Collect(mm.recipes.snapshot(cycles=5, peak=0.1), into="runs/x")])
    """

    _checks: type[Finite] = Finite

    def __init__(
        self,
        recipe: Recipe,
        into: Any = None,
        *,
        best: str | None = None,
        validation_data: Any = None,
        resume: bool = False,
        diverged: Literal["stop", "go on"] = "stop",
        task: str | Mapping[str, str] | None = None,
        from_logits: bool | None = None,
    ):
        super().__init__()
        if not hasattr(recipe, "plan") or isinstance(recipe, type):
            raise TypeError(f"expected a recipe, such as mm.recipes.snapshot(cycles=5, peak=0.1), got {recipe!r}.")
        if diverged not in ("stop", "go on"):
            raise ValueError(f'diverged={diverged!r}: expected "stop" or "go on".')
        self.recipe = recipe
        self.folds = as_folds(into, getattr(recipe, "fold", None))
        averages.check(self.folds, validation_data)
        self._validation_data = validation_data
        self._monitor, self._best = best, kept_by(self.folds, best)
        self._resumes, self._when_diverged = resume, diverged
        self._task, self._from_logits = task, from_logits
        self._driver: rate.Driver | None = None
        self._resuming: Resuming | None = None
        self._averages: averages.Averages

    @property
    def members(self):
        """The first fold: iterate over it for the members' weights."""
        return self.folds[0]

    # -- before the first batch --------------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Look for a training to go on with, which decides about the first epoch."""
        self._prepared, self._driver, self._resuming = False, None, None
        self._siblings, self._validates = caller.siblings(self), caller.validates(self)
        if not self._resumes:
            refuse_interrupted(self.folds)
            return
        self._resuming = Resuming(self.folds, self._siblings, caller.adapter(self))
        past, model = self._resuming.past, self.model
        if past is not None and past["finished"]:
            with nothing_left_on_error(model):
                self._prepare(model, past["first_epoch"])
        if past is not None:
            # `fit` asks for it next.
            model._initial_epoch = self.params["epochs"] if past["finished"] else past["epoch"]

    def on_epoch_begin(self, epoch, logs=None):
        """Prepare on the first epoch: only now is it known how many there will be, `initial_epoch` considered."""
        self._epoch, self._last_batch = epoch, 0
        if self._prepared and self._resuming is None:
            return
        model = self.model
        with nothing_left_on_error(model):
            if not self._prepared:
                past = self._resuming and self._resuming.past
                self._prepare(model, past["first_epoch"] if past else epoch)
            if self._resuming is not None:
                model._initial_epoch = None  # or the next `fit` would begin there too
                self._resuming.begin_epoch()
                if self._resuming.due(self._step):
                    self._save(model, self._resuming)

    def _prepare(self, model: keras.Model, first_epoch: int) -> None:
        planning.check_ready(model, self.params["steps"])
        remove_leftovers(model, self._siblings)
        if self._resuming is not None:
            self._resuming.prepare(model)
        self._best = watching(self._monitor, self._validates, self._validation_data is not None)
        epochs = self.params["epochs"] - first_epoch
        self._job = job = planning.job_of(self.recipe, model, epochs=epochs, steps=self.params["steps"])
        averages.check_times(self.folds, job.total, job.due[0], rate.innermost(model.optimizer))
        if job.lr is not None:
            rate.check_alone(self, model.optimizer, self._siblings)
        job.run["tasks"] = tasks.to_json(tasks.of_model(model, self._task, self._from_logits))
        self._claim(model, job.run)
        self._first_epoch, self._step, self._next_due = first_epoch, 0, job.next_due(0)
        self._collected: list[Member] = []
        self._finite = self._checks(model)
        self._averages = averages.Averages(
            model, self.folds, job.total, self._validation_data, finite=self._finite, owner=self
        )
        if job.lr is not None:
            self._driver = rate.Driver.install(model, job.lr, owner=self)
        if self._resuming is not None and self._resuming.past is not None:
            self._go_on(model, self._resuming)
        self._prepared = True

    def _claim(self, model: keras.Model, run: dict[str, Any]) -> None:
        """Announce the run to every fold, with the architecture for those that want to rebuild the model."""
        others = [fold for other in self._siblings if isinstance(other, Collect) for fold in other.folds]
        check_directories([*self.folds, *others])
        averages.check_once([*self.folds, *others])
        rebuilt = any(getattr(fold, "rebuild", False) for fold in self.folds)
        run["model"] = describe(model) if rebuilt else summarise(model)
        if self._resuming is not None and self._resuming.past is not None:
            self._resuming.take_up(run)
        else:
            for fold in self.folds:
                if hasattr(fold, "begin"):
                    fold.begin(run)
        self._behind = Behind()
        for place in directories(self.folds):
            place.write_behind(self._behind)

    def _go_on(self, model: keras.Model, resuming: Resuming) -> None:
        past = resuming.put_back(model)
        self._step = past["step"] - past["batch"]
        self._collected = [Member(**known) for known in past["collected"]]
        self._next_due = self._job.next_due(past["step"])
        self._averages.written = past["written"]
        if self._best is not None:
            self._best.value = past["best"]
        self._say(past_line(past, len(self._job.due), resuming.lost))

    # -- while training ----------------------------------------------------------------------------------------------

    def on_train_batch_begin(self, batch, logs=None):
        """Collect what was due after the batch before.

        Not in `on_train_batch_end`: overriding that one turns Keras's asynchronous dispatch off, and costs half as much
        again on JAX even when it does nothing. `self.model` is touched only when a member is due, for the same reason.
        """
        self._last_batch = batch
        step = self._step + batch
        collects = step == self._next_due
        saves = self._resuming is not None and self._resuming.due_within(step, collects)
        if collects or saves or self._behind.failed:
            model = self.model
            with nothing_left_on_error(model):
                self._behind.check()
                if collects:
                    self._collect(model, step, model.get_metrics_result())
                if saves and self._resuming is not None:
                    self._save(model, self._resuming, batch)

    def on_epoch_end(self, epoch, logs=None):
        """Collect what is due at the epoch's end, with validation logs; keep the best; complete the logs."""
        model = self.model
        with nothing_left_on_error(model):
            self._end_epoch(model, {} if logs is None else logs)

    def _end_epoch(self, model: keras.Model, logs: dict[str, Any]) -> None:
        self._behind.check()
        # A callback may have ended the epoch early, and steps_per_execution batches run at once.
        self._step += min(self._job.steps, self._last_batch + model.steps_per_execution)
        if self._driver is not None:
            self._driver.check_untouched()
            logs["learning_rate"] = rate.rate_at(self._driver.schedule, self._step - 1)
        if self._step == self._next_due:
            self._collect(model, self._step, logs)
        elif not math.isfinite(single_numbers(logs).get("loss", 0.0)):
            self._check_finite(model, logs)
        logs.update(self._averages.logs())
        if self._best is not None and self._best.improved_by(single_numbers(logs)):
            self._keep_best(model, logs, of_average=self._best.name.startswith(PREFIX))

    def _collect(self, model: keras.Model, step: int, logs: Mapping[str, Any]) -> None:
        about = {"epoch": step / self._job.steps, "logs": single_numbers(logs)}
        weights = model.get_weights()
        self._next_due = self._job.next_due(step)
        if problem := self._finite.problem(weights):
            return self._leave_out(step, problem, about["logs"])
        for fold in self.folds:
            self._averages.hand_over(fold, weights, step, about)
        member = Member("", step, **about, bytes=sum(w.nbytes for w in weights))
        self._collected.append(member)
        self._say(member_line(member, len(self._collected), len(self._job.due)))

    def _check_finite(self, model: keras.Model, logs: Mapping[str, Any]) -> None:
        """Look at the weights because the loss is not finite, though nothing is due: cycles may be long."""
        problem = self._finite.problem(model.get_weights())
        if problem and self._when_diverged == "stop":
            self._leave_out(self._step, problem, single_numbers(logs))

    def _leave_out(self, step: int, problem: str, logs: Mapping[str, float]) -> None:
        """Tell of weights that are not finite, wherever members go, and end the training if that is the user's choice."""
        why = diverged_line(problem, step / self._job.steps, logs)
        for fold in self.folds:
            if hasattr(fold, "leave_out"):
                fold.leave_out(step, why)
        if self._when_diverged == "stop":
            raise FloatingPointError(stopped_text(step, why, len(self._collected), len(self._job.due)))
        self._say(f"nothing is collected after step {step}: {why}")

    def _keep_best(self, model: keras.Model, logs: Mapping[str, Any], of_average: bool) -> None:
        about = {"epoch": self._step / self._job.steps, "logs": single_numbers(logs)}
        weights = self._averages.present() if of_average else model.get_weights()
        if self._finite.problem(weights):
            return
        for fold in self.folds:
            if hasattr(fold, "add_best"):
                fold.add_best(weights, self._step, **about)

    def _save(self, model: keras.Model, resuming: Resuming, batch: int = 0, finished: bool = False) -> None:
        own = {"step": self._step + batch, "epoch": self._epoch + finished, "batch": batch, "finished": finished}
        own |= {"first_epoch": self._first_epoch, "collected": [asdict(member) for member in self._collected]}
        own |= {"written": self._averages.written, "best": None if self._best is None else self._best.value}
        resuming.save(model, self._behind, own)

    # -- afterwards --------------------------------------------------------------------------------------------------

    def on_train_end(self, logs=None):
        """Put the optimizer's rate back, and say what was not collected."""
        if self._driver is not None:
            self._driver.remove()
            self._driver = None
        if self._prepared:
            self._averages.complete(self._step, {"epoch": self._step / self._job.steps})
            if self._resuming is not None:
                self._end_resuming(self.model, self._resuming)
            self._averages.remove()
            self._behind.close()
            if len(self._collected) < len(self._job.due):
                self._say(ended_line(self._step, len(self._collected), len(self._job.due)))
            self._model.history.members = list(self._collected)

    def _end_resuming(self, model: keras.Model, resuming: Resuming) -> None:
        model._initial_epoch = None
        resuming.stop_skipping()
        if resuming.past is not None and resuming.past["finished"]:
            resuming.put_back_beside(model)  # Keras has begun a new History since
        else:
            self._save(model, resuming, finished=True)

    def _say(self, line: str) -> None:
        verbose = self.params.get("verbose")
        if verbose:
            print(f"\n{line}" if verbose in (1, "auto") else line)  # these show a progress bar, which ends no line
