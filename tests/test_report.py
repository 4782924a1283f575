import dataclasses
import html
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from cases import ABOUT, noisy
from manyminima import combine, diversity, metrics, selection
from manyminima.reporting.about import lines
from manyminima.reporting.averages import barrier, notes, renderable
from manyminima.reporting.report import Report, report

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=200)
GOOD = noisy(Y, [1.5, 1.5, 1.5])


def outcomes(result: Report):
    return {(c.metric, c.against): c.outcome for c in result.verdict.comparisons}


# --- what it contains


def test_numbers_are_those_of_the_modules():
    result = report(Y, GOOD)
    for name in ("accuracy", "brier", "ece", "nll"):
        metric = getattr(metrics, name)
        alone = [metric(Y, one) for one in GOOD]
        assert result.ensemble[name] == metric(Y, combine.mean(GOOD))
        assert [member.scores[name] for member in result.members] == alone
        np.testing.assert_allclose(result.average[name], np.mean(alone))
        np.testing.assert_allclose(result.deviation[name], np.std(alone, ddof=1))
    np.testing.assert_array_equal(result.by_size["nll"]["oldest"], selection.scores_by_size(Y, GOOD, order="oldest"))
    assert set(result.diversity) == {
        "disagreement",
        "softmax_correlation",
        "js",
        "normalised_disagreement",
        "jensen_gap",
    }
    np.testing.assert_array_equal(result.disagreement, diversity.disagreement_matrix(GOOD))


@pytest.mark.parametrize("copies", [3, 7])
def test_copies_of_a_member_are_the_member(copies):
    result = report(Y, np.repeat(GOOD[:1], copies, axis=0))
    assert result.ensemble == result.members[0].scores
    assert {c.differing for c in result.verdict.comparisons} == {0}
    assert set(outcomes(result).values()) == {"unclear"}
    assert result.verdict.headline.startswith(f"No gain of the ensemble of {copies} over its last member can be told")
    assert "score the same on each of 200 examples" in result.verdict.sentences[0]


def test_one_member_has_nothing_to_combine():
    result = report(Y, GOOD[:1])
    assert "nothing to combine" in result.verdict.headline
    assert result.verdict.comparisons == ()
    assert result.diversity == result.deviation == {}
    assert "nothing to combine" in str(result)
    assert "nothing to combine" in result._repr_html_()


def test_weights_are_repetitions_in_every_score():
    times = RNG.integers(3, size=200)
    weighted, repeated = (
        report(Y, GOOD, sample_weight=times),
        report(np.repeat(Y, times), np.repeat(GOOD, times, axis=1)),
    )
    for ours, theirs in ((weighted.ensemble, repeated.ensemble), (weighted.average, repeated.average)):
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-9)
    gains = [[c.gain for c in result.verdict.comparisons] for result in (weighted, repeated)]
    np.testing.assert_allclose(*gains, atol=1e-12)


# --- tasks and outputs


def test_binary_multilabel_dense_and_regression():
    two = noisy(Y % 2, [1, 1], classes=2)
    assert report(Y % 2, two).task == "binary"
    labels = np.stack([c == Y for c in range(3)], axis=-1) | (RNG.uniform(size=(200, 3)) < 0.2)
    sigmoid = np.clip(labels * 0.6 + RNG.uniform(0, 0.4, size=(2, 200, 3)), 0, 1)
    many = report(labels, sigmoid)
    assert (many.task, many.examples, many.rows) == ("multilabel", 200, 600)
    dense = report(Y.reshape(50, 2, 2), GOOD.reshape(3, 50, 2, 2, 3))
    assert (dense.task, dense.examples, dense.rows) == ("multiclass", 50, 200)
    np.testing.assert_allclose(list(dense.ensemble.values()), list(report(Y, GOOD).ensemble.values()))
    assert "50 examples (200 rows)" in str(dense)


def test_regression():
    y = RNG.normal(size=(100, 2))
    result = report(y, y + RNG.normal(size=(4, 100, 2)))
    assert result.task == "regression"
    assert list(result.ensemble) == ["squared_error"]
    gain = np.mean([member.scores["squared_error"] for member in result.members]) - result.ensemble["squared_error"]
    np.testing.assert_allclose(result.diversity["variance"], gain)
    assert outcomes(result) == {
        ("squared_error", "last member"): "better",
        ("squared_error", "average member"): "better",
    }
    assert "squared error" in str(result)
    assert "Squared error" in result._repr_html_()
    column = report(y[:, 0], y[:, :1] + RNG.normal(size=(4, 100, 1)))
    assert column.task == "regression"


def test_one_of_several_outputs():
    several = {"kind": GOOD, "size": RNG.normal(size=(3, 200, 1))}
    result = report({"kind": Y, "size": RNG.normal(size=200)}, several, output="kind")
    assert result == report(Y, GOOD)
    assert report(Y, {"kind": GOOD}) == report(Y, GOOD)
    assert report(Y, several, output="size", run={"task": {"size": "regression"}}).task == "regression"


def test_output_errors():
    with pytest.raises(ValueError, match=r"outputs 'a', 'b'; no output was chosen. Pass output='a'"):
        report(Y, {"a": GOOD, "b": GOOD})
    with pytest.raises(ValueError, match=r"outputs 'a', 'b'; not 'c'. Pass output='a'"):
        report(Y, {"a": GOOD, "b": GOOD}, output="c")
    with pytest.raises(ValueError, match=r"y holds 'b', but not 'a'"):
        report({"b": Y}, {"a": GOOD}, output="a")
    with pytest.raises(ValueError, match=r"single array. Leave output out"):
        report(Y, GOOD, output="a")


# --- the run


def test_run_is_a_dict_or_has_one():
    assert report(Y, GOOD, run=ABOUT).about == report(Y, GOOD, run=SimpleNamespace(about=ABOUT)).about == ABOUT
    assert [member.label for member in report(Y, GOOD, run=ABOUT).members] == ["step 200", "step 400", "step 600"]
    with pytest.raises(ValueError, match="run is a int, expected a dict or something with an attribute `about`"):
        report(Y, GOOD, run=3)


def test_replicas_are_named():
    members = [{"step": 200, "replica": 0}, {"step": 200, "replica": 1}, {"replica": 1}]
    labels = [member.label for member in report(Y, GOOD, run={"members": members}).members]
    assert labels == ["replica 0, step 200", "replica 1, step 200", "replica 1, member 3"]


def test_run_of_other_members():
    with pytest.raises(ValueError, match=r"run lists 3 members, but probs has 2.*sliced as they are, or no run"):
        report(Y, GOOD[:2], run=ABOUT)


def test_whatever_is_missing_is_not_shown():
    for key in ABOUT:
        for about in ({name: value for name, value in ABOUT.items() if name != key}, {**ABOUT, key: None}):
            shown = lines(about)
            assert "None" not in str(shown)
            assert len(shown) >= len(lines(ABOUT)) - 1
    nothing = report(Y, GOOD, run=dict.fromkeys(ABOUT))
    assert "What was run" not in nothing._repr_html_()
    assert "None" not in nothing._repr_html_()


# --- averages of weights beside averages of predictions

Scores = dataclasses.make_dataclass("Scores", ["single", "weights", "predictions", ("refreshed", object, None)])


def averaged(nll=(0.5, 0.6, 0.4), predictions=(0.5, 0.55, 0.45), accuracy=(0.9, 0.9, 0.92), refreshed=None):
    """What averages scored, the same for all kinds of coefficients; single members have an NLL of 0.5, 0.8 and 0.6."""

    def kinds(nll):
        scores = {"nll": list(nll), "accuracy": list(accuracy)}
        return {name: dict.fromkeys(("equal", "linear", "exponential"), found) for name, found in scores.items()}

    single = {"nll": [0.5, 0.8, 0.6], "accuracy": [0.9, 0.8, 0.85]}
    return Scores(single, kinds(nll), kinds(predictions), refreshed)


def test_averages_are_in_text_json_and_page(tmp_path):
    result = report(Y, GOOD, averages=averaged())
    text = str(result)
    title = "NLL nats\N{NO-BREAK SPACE}↓ of the newest n members"
    for line in (title, "weights, exponential", "predictions, linear", "n-th newest alone"):
        assert line in text
    written = json.loads(result.to_json(tmp_path / "r.json").read_text())["averages"]
    assert written == dataclasses.asdict(averaged())
    page = html.unescape(result.to_html(tmp_path / "r.html").read_text())
    assert "One model of averaged weights, or averaged predictions" in page
    assert "averaging weights is better by 0.0500 nats on these rows (0.4000 against 0.4500 nats)" in page
    assert page.count("against the number of newest members") == 2
    none = report(Y, GOOD)
    assert none.averages is None
    assert "averaged weights" not in none._repr_html_()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "NLL: with all 3 members at equal shares, averaging weights is better by 0.0500 nats on these rows"),
        ({"nll": (0.5, 0.6, 0.48)}, "averaging predictions is better by 0.0300 nats on these rows (0.4500 against 0.4800"),
        ({}, "Accuracy: with all 3 members at equal shares, averages of weights and of predictions both score 92.00%"),
        ({"nll": (0.5, 0.6, 0.81)}, "A loss barrier lies between the members: the average of all 3 members' weights has NLL 0.8"),
        ({"refreshed": True}, "Statistics of BatchNormalization are computed anew for each average of weights."),
        ({"refreshed": False}, "Statistics of BatchNormalization are averaged as well, and belong to no network: pass"),
    ],
)  # fmt: skip
def test_what_averages_are_worth_in_a_sentence(given, said):
    found = " ".join(notes(dataclasses.asdict(averaged(**given))))
    assert said in found
    assert ("barrier" in found) == ("barrier" in said)
    assert ("Batch" in found) == ("Batch" in said)


def test_new_statistics_alone_are_no_barrier():
    assert barrier(dataclasses.asdict(averaged(nll=(1.3, 1.2, 1.1)))) == ""
    assert barrier(dataclasses.asdict(averaged(nll=(0.5, 0.6, 0.8 + 1e-9)))) == ""


def test_tables_of_averages_fit_a_terminal():
    many = {"nll": [0.5] * 10}
    kinds = {"nll": dict.fromkeys(("equal", "linear", "exponential"), [0.5] * 10)}
    console = Console(width=80, file=io.StringIO())
    with console.capture() as shown:
        console.print(renderable({"single": many, "weights": kinds, "predictions": kinds, "refreshed": None}))
    assert re.search(r"^predictions, exponential( +0\.5000){7} *$", shown.get(), re.MULTILINE)


def test_averages_of_other_members():
    with pytest.raises(ValueError, match="averages has scores of 3 members, but probs has 2. Pass what average_scores"):
        report(Y, GOOD[:2], averages=averaged())
