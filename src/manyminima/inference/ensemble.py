"""Many members, one model: predictions of all of them as one array, or combined."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import keras

from manyminima.combination import Combination
from manyminima.inference import arguments, inputs, outputs, sources
from manyminima.inference.execution import Execution, choose
from manyminima.inference.judging import judge_of
from manyminima.inference.predicting import Reader, Way, each_member, gather, size_of, way_of
from manyminima.inference.programs import Program, compile_members
from manyminima.inference.sources import Members
from manyminima.runs import architecture, tasks
from manyminima.runs.format import Weights
from manyminima.runs.snapshots import Snapshots

if TYPE_CHECKING:
    from manyminima.averaging.scores import AverageScores

__all__ = ["Ensemble"]

_COMPUTED = ("_program", "_usual_way", "_size")  # for these members, and not for others


class Ensemble:
    """Members that share one architecture, oldest first; predicts with all of them and never touches the model.

    `len(ensemble)` counts members, iterating yields their weights, `ensemble[-3:]` is the ensemble of the three newest.

    Args:
        model: the architecture, built; its own weights are neither used nor changed.
        members: lists of arrays in the order of `model.weights`, a `Snapshots` or several, or what `Collect` kept in memory.
        task: "multiclass", "binary", "multilabel" or "regression", a dict for several outputs; None takes what the run
            recorded, else what the loss of a compiled model tells.
        from_logits: whether outputs are logits; None takes what the run or the loss says.
        execution: "stacked", "mapped" (JAX), "looped"; "auto" chooses by a static rule, see `inference/execution.py`.

    Raises:
        ValueError: no members, a damaged file, or members that do not fit the model; nothing has been predicted then.
    """

    def __init__(
        self,
        model: keras.Model,
        members: Iterable[Weights] | Sequence[Snapshots] | Members,
        *,
        task: str | Mapping[str, str] | None = None,
        from_logits: bool | None = None,
        execution: str = "auto",
    ):
        self.model = arguments.model(model)
        found = sources.check(model, sources.members_of(members))
        if architecture.adapts(model):
            for member in found.weights:
                architecture.check_adapted(model, member)
        self._members, self._about, self._files = found.weights, found.about, found.files
        recorded = tasks.from_json(self._about.get("tasks"))
        self.tasks = tasks.override(recorded or tasks.of_model(model), task, from_logits)
        self.execution: Execution = choose(model, execution)
        self._compiled: dict[str, Callable] = {}
        self.combination: Combination | None = None

    @classmethod
    def from_files(
        cls, build_model: Callable[[], keras.Model], files: str | os.PathLike | Sequence[str | os.PathLike], **options
    ) -> "Ensemble":
        """Make an ensemble of `.keras` or `.weights.h5` files that were made elsewhere.

        Args:
            build_model: returns the built model whose weights the files hold.
            files: a path, a pattern such as "models/*.keras", or several; files of one pattern are put in the order of the
                numbers in their names (10 after 9), and one that several patterns match is taken once.
            **options: as for `Ensemble`.
        """
        members = sources.from_files(build_model(), files)
        return cls(build_model(), members, **options)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Weights]:
        return iter(self._members)

    def __getitem__(self, index):
        """Return one member's weights, or for a slice the ensemble of those members."""
        if not isinstance(index, slice):
            return self._members[arguments.place(index, len(self))]
        about = {**self._about, "members": self._about["members"][index]}
        members = Members(self._members[index], about, self._files[index])
        if not members.weights:
            raise IndexError(f"{index} selects none of {len(self)} members.")
        return self._with(members, self.execution)

    def newest(self, n: int) -> "Ensemble":
        """Return the ensemble of the newest n members; ValueError if there are not so many."""
        return self.part(range(len(self) - arguments.newest(n, len(self)), len(self)))

    def part(self, indices: Sequence[int]) -> "Ensemble":
        """Return the ensemble of some members, by their places."""
        indices = arguments.places(indices, len(self))
        about = {**self._about, "members": [self._about["members"][i] for i in indices if self._about["members"]]}
        members = self._members
        chosen = sources.Stored([members.places[i] for i in indices]) if isinstance(members, sources.Stored) else None
        chosen = chosen or [members[i] for i in indices]
        return self._with(Members(chosen, about, [self._files[i] for i in indices]), self.execution)

    def of(self, members: Sequence[Weights]) -> "Ensemble":
        """Return an ensemble of other weights of the same model, which shares what was compiled for this one's."""
        return self._with(Members(members, {**self._about, "members": []}, [""] * len(members)), "looped")

    def _with(self, members: Members, execution: Execution) -> "Ensemble":
        other = object.__new__(Ensemble)
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k not in _COMPUTED})
        other._members, other._about, other._files = members.weights, members.about, members.files
        other.execution = execution
        other.combination = None  # what was fitted to other members does not fit these
        return other

    def combined_by(self, combination: Combination | None) -> "Ensemble":
        """Return this ensemble with another way from members to one prediction; None is their mean.

        It is what `predict`, `evaluate` and `to_keras` use then. For single outputs only; slices of the ensemble have other
        members, and go back to the mean.
        """
        if combination is not None:
            arguments.combination(combination, len(self), [task and task.kind for task in self.tasks.values()])
        other = object.__new__(Ensemble)
        other.__dict__.update({**self.__dict__, "combination": combination})
        other.__dict__.pop("_usual_way", None)
        return other

    def astype(self, dtype: str) -> "Ensemble":
        """Return this ensemble computing in "bfloat16", "float16" or "float32"; what it returns is float32 either way.

        Half precision is for accelerators: the weights stay float32 and layers compute with them rounded to 8 bits
        (bfloat16) or 11 (float16), but for the last layer and those that prepare raw data. Probabilities differ by about
        0.01. On most processors it is slower.

        Raises:
            ValueError: another dtype, or a model that cannot be copied.
        """
        from manyminima.inference.precision import in_precision

        other = self._with(Members(self._members, self._about, self._files), self.execution)
        other.model, other._compiled, other.combination = in_precision(self.model, dtype), {}, self.combination
        return other

    @property
    def about(self) -> dict[str, Any]:
        """What is known about the run and its members, as plain data for reports."""
        kinds = {name: task and task.kind for name, task in self.tasks.items() if name or len(self.tasks) == 1}
        return {**self._about, "task": kinds.get("") if set(kinds) == {""} else kinds}

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: what was compiled is compiled there anew."""
        return {k: v for k, v in self.__dict__.items() if k not in _COMPUTED} | {"_compiled": {}}

    def __repr__(self):
        kinds = ", ".join(f"{name}: {t}" if name else str(t) for name, t in self.tasks.items())
        how = f", {self.combination.label}" if self.combination else ""
        return f"Ensemble({len(self)} members of '{self.model.name}', {kinds}, {self.execution}{how})"

    def _repr_html_(self) -> str:
        from manyminima.reporting import notebook

        return notebook.ensemble(self)

    # -- predicting --------------------------------------------------------------------------------------------------

    def predict_members(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Return what every member predicts, float32, of shape (members, examples, classes).

        Binary tasks give two columns, regression (members, examples, targets), dense outputs keep their axes, several
        outputs give a dict of arrays. Batches are outside and members inside: a data set is read once.
        """
        return self._predict(x, batch_size, each_member(self._program, self._reader))[0]

    def predict(self, x: Any, *, batch_size: int | None = None, combine: Callable | None = None) -> Any:
        """Return the combined prediction, float32, of shape (examples, classes).

        Args:
            x: whatever `model.predict` takes.
            batch_size: examples at once; None is 1024 or fewer (down to 32), as many as a processor's cache holds, and more
                where starting a program takes longer: twice as many on PyTorch, four times on TensorFlow and on accelerators.
            combine: a function of (members, examples, classes), such as those of `mm.combine`; None is what was fitted beside
                the run (`ensemble.combination`), or else their mean.
        """
        return self._predict(x, batch_size, self._usual_way if combine is None else self._way(arguments.rule(combine)))[
            0
        ]

    def evaluate(self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | None = None) -> dict:
        """Return the scores of the combined prediction by name, as the report defines them; a dict for each output.

        A data set brings its own labels and is read once.
        """
        probs, labels, weights = self._predict(x, batch_size, self._usual_way, y, sample_weight)
        if labels is None:
            raise ValueError("evaluate needs labels: pass y, or a data set that yields (x, y).")
        if not isinstance(probs, dict):
            return outputs.scores(labels, probs, self._task_of("").kind, weights)
        labels = outputs.for_each(labels, probs, "y")
        weights = outputs.for_each(weights, probs, "sample_weight")
        return {
            name: outputs.scores(labels[name], p, self._task_of(name).kind, weights[name]) for name, p in probs.items()
        }

    def to_keras(self) -> keras.Model:
        """Return ONE ordinary Keras model that combines the members; it can be saved as `.keras` and loads without us.

        It has the coefficients and the temperature of `ensemble.combination`, and leaves out members of coefficient 0. Its
        outputs are probabilities, also where the members' are logits. It is frozen, and this ensemble's model is not part of
        it.

        Raises:
            ValueError: the model cannot be copied, or is calibrated by isotonic regression, which Keras has no layer for.
        """
        from manyminima.inference.export import combined

        return combined(self.model, self._members, self._task_of, self.combination or Combination())

    def average(
        self,
        coefficients: Any = "equal",
        *,
        last: int | None = None,
        decay: float = 2.0,
        x: Any = None,
        validation_data: Any = None,
    ) -> keras.Model:
        """Return ONE Keras model whose weights are the mean of the members' weights; predicting costs what one member does.

        Good for members of one basin (a run's last epochs, SWA, EMA). Members from different cycles of a large learning rate
        are often separated by a loss barrier: average their predictions then, with `predict`. Members on disk are read piece
        by piece; the memory is that of the model and half as much again, whatever their number.

        Args:
            coefficients: "equal", "linear" (the newest n, the oldest 1), "exponential" (the newest largest, each older one
                by exp(-1/decay) smaller), or one number for each member, oldest first, scaled to sum 1.
            last: only the newest so many members.
            decay: of "exponential", in members.
            x: training inputs, or a data set of them: layers of BatchNormalization then get the statistics that belong to
                the averaged weights (`mm.refresh_batchnorm`).
            validation_data: (x_val, y_val) or (x_val, y_val, sample_weight), to check that the average is not worse than
                every one of the members.

        Warns:
            UserWarning: the model has BatchNormalization and no `x` was given; or a loss barrier lies between the members.

        Raises:
            ValueError: coefficients that are none, a damaged file, or a model that cannot be copied.
        """
        from manyminima.averaging import posthoc

        chosen = self if last is None else self.newest(last)
        return posthoc.average(chosen, coefficients, decay=decay, x=x, validation_data=validation_data)

    def average_scores(self, x: Any, y: Any, *, x_train: Any = None, sample_weight: Any = None) -> "AverageScores":
        """Return what the newest n members are worth alone, as one model of mean weights, and as a mean prediction.

        For n = 1 … all and equal, linear and exponential coefficients; `print` shows a table, and
        `mm.report(…, averages=…)` and `mm.plots.averages` a plot. See `manyminima.averaging.scores`.
        """
        from manyminima.averaging.scores import average_scores

        return average_scores(self, x, y, x_train=x_train, sample_weight=sample_weight)

    @cached_property
    def _program(self) -> Callable[[], Program]:
        judge = judge_of(self.model, self.tasks)
        return cache(partial(compile_members, self.model, self._members, self.execution, judge, self._compiled))

    @cached_property
    def _usual_way(self) -> Way:
        return self._way(self.combination)

    def _way(self, combine: Callable | None) -> Way:
        return way_of(combine, len(self), self._program, self._reader)

    @property
    def _reader(self) -> Reader:
        return Reader(self.model, self.tasks, self._files)

    def _task_of(self, output: str) -> tasks.Task:
        return outputs.task_of(self.tasks, output, self.model.name)

    @cached_property
    def _size(self) -> Callable[[Any, int | None], int]:
        return size_of(self.model, len(self), self.execution)

    def _predict(self, x, batch_size: int | None, way: Way, y=None, sample_weight=None):
        """Return the rows of `way`, labels and sample weights."""
        total = None if inputs.is_dataset(x) else inputs.rows(x)
        size = self._size(x, total) if batch_size is None else batch_size
        batches = inputs.batches(x, size, y, sample_weight)
        return gather(batches, way, total, size if total else None)
