"""One report on one ensemble: each member beside it, what combining them is worth, and what was run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima import combine, diversity, metrics, selection
from manyminima.arrays import TASKS, Problem, Task, as_problem
from manyminima.reporting import words
from manyminima.reporting.verdict import Verdict, judge

Scores = dict[str, float]


@dataclass(frozen=True)
class Member:
    """One member: what it is called and its scores, by name of the metric."""

    label: str
    scores: Scores


@dataclass(frozen=True)
class Report:
    """What there is to say about an ensemble, as plain numbers and sentences.

    `print(report)` shows it in the terminal, a notebook shows it as a page; `to_json` and `to_html` write files.

    Attributes:
        verdict: The ensemble against its own members.
        task: One of the tasks of `manyminima.arrays`.
        examples: How many examples were scored.
        rows: The same, or more where an example has several labels or pixels.
        members: Each member, oldest first.
        ensemble: The scores of the members' mean.
        average: The mean of the single members' scores.
        deviation: Their standard deviation (n - 1); empty for one member.
        diversity: Disagreement and softmax correlation; empty for one member and for regression.
        by_size: Per metric of the verdict, the scores of the n "newest" and of the n "oldest" members combined.
        averages: The scores of averages of weights and of predictions against n, if they were given.
        about: What was run, as far as known.
    """

    verdict: Verdict
    task: Task
    examples: int
    rows: int
    members: tuple[Member, ...]
    ensemble: Scores
    average: Scores
    deviation: Scores
    diversity: Scores
    by_size: dict[str, dict[str, list[float]]]
    averages: dict[str, Any] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data, with what each metric measures under "metrics"; what is not finite is None."""
        described = {name: asdict(words.facts(name)) for name in self.ensemble}
        for facts in described.values():
            del facts["per_example"], facts["tasks"]
        return _json_data({**asdict(self), "metrics": described})

    def to_json(self, path: str | Path) -> Path:
        """Write the report as JSON; folders on the way are made.

        Raises:
            OSError: The file cannot be written.
        """
        return _write(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one page that needs no other file and no network; folders on the way are made.

        Raises:
            OSError: The file cannot be written.
        """
        from manyminima.reporting import page

        return _write(path, page.whole(self))

    def __str__(self) -> str:
        from manyminima.reporting import terminal

        return terminal.text(self)

    def __rich__(self):
        from manyminima.reporting import terminal

        return terminal.renderable(self)

    def _repr_html_(self) -> str:
        from manyminima.reporting import page

        return page.fragment(self)


def report(
    y: ArrayLike | Mapping[str, ArrayLike],
    probs: ArrayLike | Mapping[str, ArrayLike],
    *,
    run: Any = None,
    output: str | None = None,
    task: str | None = None,
    sample_weight: ArrayLike | None = None,
    averages: Any = None,
) -> Report:
    """A report on the mean of the members' predictions: scores in each metric's own unit and direction, and a verdict.

    The verdict compares the ensemble with its last and its average member, paired by example, with 95 % intervals over
    the examples. Rows of one example (pixels, labels) count as one in them.

    Args:
        y: (examples,) labels, or what the task has; a dict where the model has several outputs.
        probs: (members, examples, classes), oldest member first, as from `Ensemble.predict_members`; or a dict of them.
        run: What was run: a dict of JSON data, or an object that has one as its `about`. What is missing is not shown.
        output: Which output to report on where there are several.
        task: One of "multiclass", "binary", "multilabel", "regression". None infers it from the values.
        sample_weight: (examples,) non-negative.
        averages: What `Ensemble.average_scores` returned for the same rows, to be shown beside.

    Raises:
        ValueError: The arrays do not fit together, `probs` are not probabilities, or `run` or `averages` have other members.

    Example:
        >>> probs = np.array([[[0.6, 0.4], [0.2, 0.8]], [[0.9, 0.1], [0.6, 0.4]]])
        >>> result = report([0, 1], probs)
        >>> result.ensemble["accuracy"], result.average["accuracy"]
        (1.0, 0.75)
        >>> result.verdict.headline
        'No gain of the ensemble of 2 over its last member can be told from chance on 2 examples.'
    """
    y, probs = _one_output(y, probs, output)
    about = _about(run)
    problem = as_problem(y, probs, task or _task(about.get("task"), output), sample_weight)
    labels = _labels(about.get("members"), len(problem.probs))
    combined = combine.mean(problem.probs)
    members = tuple(Member(label, _scores(problem, one)) for label, one in zip(labels, problem.probs, strict=True))
    return Report(
        verdict=judge(problem, combined, labels),
        task=problem.task,
        examples=int(problem.group[-1]) + 1,
        rows=len(problem.group),
        members=members,
        ensemble=_scores(problem, combined),
        average=_over(members, np.mean),
        deviation=_over(members, _deviation) if len(members) > 1 else {},
        diversity=_diversity(problem),
        by_size=_by_size(problem),
        averages=_averages(averages, len(members)),
        about=about,
    )


def _scores(problem: Problem, one: np.ndarray) -> Scores:
    return {
        name: getattr(metrics, name)(problem.y, one, problem.sample_weight) for name in words.for_task(problem.task)
    }


def _over(members: tuple[Member, ...], statistic) -> Scores:
    return {name: float(statistic([member.scores[name] for member in members])) for name in members[0].scores}


def _deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


def _diversity(problem: Problem) -> Scores:
    if len(problem.probs) == 1 or problem.task == "regression":
        return {}
    return {name: getattr(diversity, name)(problem.probs) for name in diversity.__all__}


def _by_size(problem: Problem) -> dict[str, dict[str, list[float]]]:
    def scores(name: str, order) -> list[float]:
        metric = getattr(metrics, name)
        return selection.scores_by_size(
            problem.y, problem.probs, metric, order, sample_weight=problem.sample_weight
        ).tolist()

    return {
        name: {order: scores(name, order) for order in ("newest", "oldest")} for name in words.for_verdict(problem.task)
    }


def _one_output(y: Any, probs: Any, output: str | None) -> tuple[ArrayLike, ArrayLike]:
    if not isinstance(probs, Mapping):
        if output is not None:
            raise ValueError(f"output={output!r} was given, but probs is a single array. Leave output out.")
        return y, probs
    names = ", ".join(map(repr, probs))
    if output is None and len(probs) == 1:
        output = next(iter(probs))
    if output not in probs:
        given = "no output was chosen" if output is None else f"not {output!r}"
        raise ValueError(f"probs holds the outputs {names}; {given}. Pass output={next(iter(probs))!r}, for example.")
    if isinstance(y, Mapping) and output not in y:
        raise ValueError(f"y holds {', '.join(map(repr, y))}, but not {output!r}. Pass labels for the outputs {names}.")
    return (y[output] if isinstance(y, Mapping) else y), probs[output]


def _about(run: Any) -> dict[str, Any]:
    about = {} if run is None else getattr(run, "about", run)
    if not isinstance(about, Mapping):
        raise ValueError(
            f"run is a {type(run).__name__}, expected a dict or something with an attribute `about`, or None."
        )
    return dict(about)


def _task(known: Any, output: str | None) -> Task | None:
    task = known.get(output) if isinstance(known, Mapping) else known
    return task if task in TASKS else None


def _averages(averages: Any, count: int) -> dict[str, Any] | None:
    if averages is None:
        return None
    found = asdict(averages)
    given = {len(single) for single in found["single"].values()}
    if given != {count}:
        raise ValueError(
            f"averages has scores of {', '.join(map(str, given))} members, but probs has {count}. Pass what average_scores "
            "of the same ensemble returned, or no averages."
        )
    return found


def _labels(members: list[Mapping[str, Any]] | None, count: int) -> tuple[str, ...]:
    if not members:
        return tuple(f"member {n}" for n in range(1, count + 1))
    if len(members) != count:
        raise ValueError(
            f"run lists {len(members)} members, but probs has {count}. Pass the run that these predictions come from, "
            "sliced as they are, or no run."
        )
    replicas = len({member.get("replica", 0) for member in members}) > 1
    return tuple(_label(member, n, replicas) for n, member in enumerate(members, start=1))


def _label(member: Mapping[str, Any], n: int, replicas: bool) -> str:
    label = f"step {member['step']}" if "step" in member else f"member {n}"
    return f"replica {member.get('replica', 0)}, {label}" if replicas else label


def _json_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_data(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _json_data(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _write(path: str | Path, text: str) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
