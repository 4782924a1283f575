"""Many members, one model: predictions of all of them as one array, or combined."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import keras
import numpy as np

from manyminima import combine as rules
from manyminima import metrics
from manyminima.arrays import ROW_SUM_TOLERANCE, as_problem
from manyminima.arrays import Task as Kind
from manyminima.inference import inputs
from manyminima.inference.execution import Execution, choose, compile_members
from manyminima.inference.inputs import Rows
from manyminima.inference.sources import Members, check_shapes, matching, members_of, read_weights
from manyminima.runs import architecture, tasks
from manyminima.runs.format import Member, Weights
from manyminima.runs.snapshots import Snapshots

__all__ = ["Ensemble"]


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
        if not model.built:
            raise ValueError(f"model '{model.name}' is not built: call it once, or model.build(input_shape).")
        self.model = model
        self._members, self._about = members_of(members)
        check_shapes(model, self._members, self._about)
        architecture.check_adapted(model, self._members[-1])
        recorded = tasks.from_json(self._about.get("tasks"))
        self.tasks = tasks.override(recorded or tasks.of_model(model), task, from_logits)
        self.execution: Execution = choose(model, execution)

    @classmethod
    def from_files(
        cls, build_model: Callable[[], keras.Model], files: Sequence[str | os.PathLike], **options
    ) -> "Ensemble":
        """Make an ensemble of `.keras` or `.weights.h5` files that were made elsewhere.

        Args:
            build_model: returns the built model whose weights the files hold.
            files: paths or patterns such as "models/*.keras"; files of one pattern are put in the order of the numbers
                in their names (10 after 9).
            **options: as for `Ensemble`.
        """
        paths = [path for pattern in files for path in matching(os.fspath(pattern))]
        model = build_model()
        members = [read_weights(model, path) for path in paths]
        ensemble = cls(build_model(), members, **options)
        ensemble._about["members"] = [asdict(Member(path, step=i)) for i, path in enumerate(paths)]
        return ensemble

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Weights]:
        return iter(self._members)

    def __getitem__(self, index):
        """Return one member's weights, or for a slice the ensemble of those members."""
        if not isinstance(index, slice):
            return self._members[index]
        part = object.__new__(Ensemble)
        part.__dict__.update({k: v for k, v in self.__dict__.items() if k != "_program"})
        part._members = self._members[index]
        part._about = {**self._about, "members": self._about["members"][index]}
        if not part._members:
            raise IndexError(f"{index} selects none of {len(self)} members.")
        return part

    @property
    def about(self) -> dict[str, Any]:
        """What is known about the run and its members, as plain data for reports."""
        kinds = {name: task and task.kind for name, task in self.tasks.items()}
        return {**self._about, "task": kinds.get("") if set(kinds) == {""} else kinds}

    def __repr__(self):
        kinds = ", ".join(f"{name}: {t}" if name else str(t) for name, t in self.tasks.items())
        return f"Ensemble({len(self)} members of '{self.model.name}', {kinds}, {self.execution})"

    # -- predicting --------------------------------------------------------------------------------------------------

    def predict_members(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Return what every member predicts, float32, of shape (members, examples, classes).

        Binary tasks give two columns, regression (members, examples, targets), dense outputs keep their axes, several
        outputs give a dict of arrays. Batches are outside and members inside: a data set is read once.
        """
        return self._predict(x, batch_size, lambda probs: probs, axis=1)[0]

    def predict(self, x: Any, *, batch_size: int | None = None, combine: Callable = rules.mean) -> Any:
        """Return the combined prediction, float32, of shape (examples, classes).

        Args:
            x: whatever `model.predict` takes.
            batch_size: examples at once; None is 1024, or 128 for members that run one after the other.
            combine: a function of (members, examples, classes), such as those of `mm.combine`.
        """
        return self._predict(x, batch_size, combine, axis=0)[0]

    def evaluate(self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | None = None) -> dict:
        """Return the scores of the combined prediction by name, as the report defines them; a dict for each output.

        A data set brings its own labels and is read once.
        """
        probs, labels, weights = self._predict(x, batch_size, rules.mean, axis=0, y=y, sample_weight=sample_weight)
        if labels is None:
            raise ValueError("evaluate needs labels: pass y, or a data set that yields (x, y).")
        if not isinstance(probs, dict):
            return _scores(labels, probs, self._task_of("").kind, weights)
        labels = labels if isinstance(labels, dict) else dict(zip(probs, labels, strict=True))
        return {name: _scores(labels[name], p, self._task_of(name).kind, weights) for name, p in probs.items()}

    def to_keras(self) -> keras.Model:
        """Return ONE ordinary Keras model that averages the members; it can be saved as `.keras` and loads without us.

        Its outputs are probabilities, also where the members' are logits. It is frozen, and this ensemble's model is not
        part of it.
        """
        from manyminima.inference.export import averaged

        return averaged(self.model, self._members, self._task_of)

    @cached_property
    def _program(self) -> Callable:
        return compile_members(self.model, self._members, self.execution)

    def _task_of(self, output: str) -> tasks.Task:
        only = None if output else next(iter(self.tasks.values()), None)
        task = self.tasks.get(output) or self.tasks.get("") or only
        if task is None:
            raise ValueError(
                f"it cannot be told from the loss what output {output or self.model.name!r} means. Say it: "
                f'task="multiclass" (or "binary", "multilabel", "regression"), and from_logits=True if it gives logits.'
            )
        return task

    def _predict(self, x, batch_size, reduce: Callable, axis: int, y=None, sample_weight=None):
        """Return reduced predictions, labels and sample weights; only one batch of member predictions is held at a time."""
        size = (1024 if self.execution == "stacked" else 128) if batch_size is None else batch_size
        total = None if inputs.is_dataset(x) else inputs.rows(x)
        size = min(size, inputs.power_of_two(total)) if total else size
        gathered: dict[str, Rows] = {}
        labels, weights = Rows(total), Rows(total)
        padded_to = size if total else 0
        for batch in inputs.batches(x, size, y, sample_weight):
            n = inputs.rows(batch.x)
            padded_to = padded_to or n  # a data set's first batch tells the shape of the others
            raw = _by_name(self._program(inputs.pad(batch.x, padded_to)), self.model)
            for name, outputs in raw.items():
                probs = reduce(self._probabilities(name, outputs[:, :n], labels.count))
                gathered.setdefault(name, Rows(total, axis)).add(probs.astype("float32"), n)
            labels.add(batch.y, n)
            weights.add(batch.sample_weight, n)
        result = {name: rows.array for name, rows in gathered.items()}
        return result.get("", result), labels.array, weights.array

    def _probabilities(self, output: str, raw: np.ndarray, first_row: int) -> np.ndarray:
        if not np.isfinite(raw).all():
            member, row = np.argwhere(~np.isfinite(raw))[0][:2]
            raise ValueError(
                f"member {member} predicts NaN or infinity for row {first_row + row}. Look for NaN in that row of the inputs; "
                f"if there is none, the member has diverged: leave it out, as in ensemble[:{member}]."
            )
        task = self.tasks[output] = tasks.with_units(self._task_of(output), raw.shape[-1])
        probs = tasks.to_probabilities(raw, task)
        sums = probs.sum(axis=-1)
        if task.kind == "multiclass" and np.any(np.abs(sums - 1) > ROW_SUM_TOLERANCE):
            raise ValueError(
                f"a row of outputs of model '{self.model.name}' sums to {sums.flat[np.abs(sums - 1).argmax()]:.4g}, expected "
                f'1 for probabilities. If these are logits, say from_logits=True; if no classes, task="regression".'
            )
        return probs


def _scores(y: Any, probs: np.ndarray, kind: Kind, sample_weight: Any) -> dict[str, float]:
    problem = as_problem(y, probs[None], kind, sample_weight)
    chosen = [metric for metric in (getattr(metrics, name) for name in metrics.__all__) if kind in metric.facts.tasks]
    return {m.__name__: m(problem.y, problem.probs[0], problem.sample_weight) for m in chosen}


def _by_name(outputs: Any, model: keras.Model) -> dict[str, np.ndarray]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, list | tuple):
        return dict(zip(getattr(model, "output_names", map(str, range(len(outputs)))), outputs, strict=False))
    return {"": outputs}
