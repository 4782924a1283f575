"""One report on one ensemble: each member beside it, what combining them is worth, and what was run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima import combine, metrics, selection
from manyminima.arrays import Problem, Task, as_problem
from manyminima.combination import Combination
from manyminima.reporting import against, calibration, confusion, differ, doubt, inputs, mixed, ways, words
from manyminima.reporting.against import Against
from manyminima.reporting.calibration import Reliability
from manyminima.reporting.confusion import Confusion
from manyminima.reporting.doubt import Doubt
from manyminima.reporting.files import json_data, write_text
from manyminima.reporting.mixed import Mixed
from manyminima.reporting.scores import Scores, scores
from manyminima.reporting.verdict import Verdict, judge
from manyminima.reporting.ways import Ways


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
        diversity: How much members differ, by name of the measure; empty for one member. All examples count the same in it,
            but for `jensen_gap` and `variance`, which are differences of scores.
        disagreement: (members, members) share of examples on which two members differ; empty where `diversity` is.
        correlation: (members, members) correlation of two members' probabilities, of regression of their errors; empty for one
            member.
        by_size: Per metric of the verdict, the scores of the n "newest" and of the n "oldest" members combined.
        mixed: The combination that was given, and what it is worth here.
        ways: Every way to combine the members, fitted and chosen on validation rows, and what to ship; None without those.
        doubt: What the ensemble is unsure of, and what that is good for; None for regression.
        reliability: Confidence against accuracy of the members' mean, and behind what was fitted; empty for regression.
        confusion: What the mean takes the examples of each class for; None for regression.
        against: Predictions against labels of a regression with one target; None for all else.
        averages: The scores of averages of weights and of predictions against n, if they were given.
        about: What was run, as far as known.
        images: The inputs of the least sure examples, where they are images; not part of the JSON.
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
    disagreement: tuple[tuple[float, ...], ...]
    by_size: dict[str, dict[str, list[float]]]
    mixed: Mixed | None = None
    ways: Ways | None = None
    doubt: Doubt | None = None
    correlation: tuple[tuple[float, ...], ...] = ()
    reliability: tuple[Reliability, ...] = ()
    confusion: Confusion | None = None
    against: Against | None = None
    averages: dict[str, Any] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    images: tuple[np.ndarray, ...] = field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data, with what each metric measures under "metrics"; what is not finite is None."""
        described = {name: asdict(words.facts(name)) for name in self.ensemble}
        for facts in described.values():
            del facts["per_example"], facts["tasks"]
        data = {**asdict(replace(self, images=())), "metrics": described}
        del data["images"]
        return json_data(data)

    def to_json(self, path: str | Path) -> Path:
        """Write the report as JSON; folders on the way are made.

        Raises:
            OSError: The file cannot be written.
        """
        return write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one page that needs no other file and no network; folders on the way are made.

        Raises:
            OSError: The file cannot be written.
        """
        from manyminima.reporting import page

        return write_text(path, page.whole(self))

    def __repr__(self) -> str:
        members = f"{len(self.members)} member{'' if len(self.members) == 1 else 's'}"
        return f"Report({members}, {words.examples(self.examples, self.rows)}, {self.task}: {self.verdict.headline!r})"

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
    x: Any = None,
    output: str | None = None,
    task: str | None = None,
    sample_weight: ArrayLike | None = None,
    validation: tuple[Any, Any] | None = None,
    combination: Combination | None = None,
    averages: Any = None,
    on_fitting_data: bool = False,
) -> Report:
    """A report on the mean of the members' predictions: scores in each metric's own unit and direction, and a verdict.

    The verdict compares the ensemble with its last and its average member, paired by example, with 95 % intervals over
    the examples. Rows of one example (pixels, labels) count as one in them. With `validation` it also says what to ship:
    every way to combine the members is fitted and chosen there, and scored here.

    Args:
        y: (examples,) labels, or what the task has; a dict where the model has several outputs.
        probs: (members, examples, classes), oldest member first, as from `Ensemble.predict_members`; or a dict of them.
        run: What was run: a dict of JSON data, or an object that has one as its `about`. What is missing is not shown.
        x: (examples, ...) inputs; where they are images, the least sure examples are shown as pictures.
        output: Which output to report on where there are several.
        task: One of "multiclass", "binary", "multilabel", "regression". None infers it from the values.
        sample_weight: (examples,) non-negative.
        validation: (y_val, probs_val) of rows that are neither trained on nor reported on. The reported rows themselves are
            refused, in any order; a part of them is not noticed.
        combination: Coefficients and calibrator to be shown beside the mean; None takes `run.combination`, if there is one.
        averages: What `Ensemble.average_scores` returned for the same rows, to be shown beside.
        on_fitting_data: Say True to report on the very rows that the combination was fitted on.

    Raises:
        ValueError: The arrays do not fit together, `probs` are not probabilities, `run` or `averages` have other members, or
            these are the rows that the combination was fitted on.

    Example:
        >>> probs = np.array([[[0.6, 0.4], [0.2, 0.8]], [[0.9, 0.1], [0.6, 0.4]]])
        >>> result = report([0, 1], probs)
        >>> result.ensemble["accuracy"], result.average["accuracy"]
        (1.0, 0.75)
        >>> result.verdict.headline
        'No gain of the ensemble of 2 over its last member can be told from chance on 2 examples.'
    """
    y, probs = inputs.one_output(y, probs, output)
    about = inputs.about(run)
    problem = as_problem(y, probs, task or inputs.task(about.get("task"), output), sample_weight)
    labels = inputs.labels(about.get("members"), len(problem.probs))
    combination = inputs.combination(combination, run)
    if combination is not None and not on_fitting_data:
        combination.check_unseen(y, probs)
    averages, shown = inputs.averages(averages, len(labels)), inputs.array_of(x, int(problem.group[-1]) + 1)
    held_out = inputs.validation(validation, output)
    shipped = ways.compare(problem, *held_out, labels) if held_out else None
    mean = combine.mean(problem.probs)
    names = inputs.classes(about)
    members = tuple(Member(label, scores(problem, one)) for label, one in zip(labels, problem.probs, strict=True))
    found = doubt.look(problem, names)
    return Report(
        verdict=judge(problem, mean, labels),
        task=problem.task,
        examples=int(problem.group[-1]) + 1,
        rows=len(problem.group),
        members=members,
        ensemble=scores(problem, mean),
        average=_over(members, np.mean),
        deviation=_over(members, _deviation) if len(members) > 1 else {},
        diversity={**differ.measures(problem), **differ.weights(run, len(labels))},
        disagreement=differ.matrix(problem),
        correlation=differ.correlation(problem),
        by_size=_by_size(problem),
        mixed=mixed.score(combination, y, probs, problem) if combination else None,
        ways=shipped,
        doubt=found,
        reliability=calibration.look(problem, mean, combination, shipped, y, probs),
        confusion=confusion.look(problem, mean, names),
        against=against.look(problem, mean),
        averages=averages,
        about=about,
        images=doubt.images_of(shown, found),
    )


def _over(members: tuple[Member, ...], statistic) -> Scores:
    return {name: float(statistic([member.scores[name] for member in members])) for name in members[0].scores}


def _deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


def _by_size(problem: Problem) -> dict[str, dict[str, list[float]]]:
    def by_order(name: str, order) -> list[float]:
        metric = getattr(metrics, name)
        return selection.scores_by_size(
            problem.y, problem.probs, metric, order, sample_weight=problem.sample_weight
        ).tolist()

    return {
        name: {order: by_order(name, order) for order in ("newest", "oldest")}
        for name in words.for_verdict(problem.task)
    }
