import io

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from manyminima import diversity, metrics, plots, reliability, selection
from manyminima.plots import drawing

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=30)
P = RNG.dirichlet(np.ones(3), size=(4, 30)).astype(np.float32)

SCORES = {"equal": [0.9, 0.92, 0.93], "linear": [0.9, 0.91, 0.92], "exponential": [0.9, 0.91, 0.915]}

DRAWN = {
    "averages": lambda ax=None: plots.averages([0.9, 0.88, 0.89], SCORES, SCORES, metrics.accuracy.facts, ax),
    "barrier": lambda ax=None: plots.barrier([0, 0.5, 1], [0.2, 0.9, 0.4], ax),
    "confusion": lambda ax=None: plots.confusion(Y, P[0], ax),
    "correlation": lambda ax=None: plots.correlation(P, ax),
    "disagreement": lambda ax=None: plots.disagreement(P, ax),
    "forest": lambda ax=None: plots.forest(["a", "b"], [-1, 1], [-2, -1], [-0.5, 3], ax, label="NLL"),
    "learning_curves": lambda ax=None: plots.learning_curves([1, 2], {"training": [0.9, 0.5]}, [2], ax),
    "learning_rate": lambda ax=None: plots.learning_rate(range(8), [0.2, 0.1] * 4, [4, 8], ax),
    "predicted": lambda ax=None: plots.predicted([1.0, 2.0], [1.5, 1.0], ax, deviations=[0.1, 0.2]),
    "reliability": lambda ax=None: plots.reliability(Y, P[0], ax),
    "risk_coverage": lambda ax=None: plots.risk_coverage([0.5, 1.0], [0.0, 0.1], ax),
    "score_by_size": lambda ax=None: plots.score_by_size(Y, P, metrics.nll, ax),
}
every_plot = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN.keys())


def test_every_plot_is_drawn_here():
    assert list(DRAWN) == plots.__all__ == sorted(plots.__all__)


@every_plot
def test_draws_on_the_axes_it_is_given_and_else_on_its_own(draw):
    given = Figure().subplots()
    assert draw(given) is given
    own = draw()
    assert own is not given
    assert own.get_xlabel()
    assert own.get_ylabel()
    assert own.get_title("left")
    own.figure.savefig(io.BytesIO(), format="svg")
    assert pyplot.get_fignums() == []


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def test_members_sit_at_the_rate_of_the_last_batch_they_saw():
    drawn = lines(plots.learning_rate([0, 1, 2, 3], [0.2, 0.1, 0.2, 0.1], [2, 4]))
    np.testing.assert_array_equal(drawn["member collected"], [[2, 0.1], [4, 0.1]])
    np.testing.assert_array_equal(drawn["learning rate"][:, 1], [0.2, 0.1, 0.2, 0.1])


def test_learning_rate_without_members():
    assert list(lines(plots.learning_rate([0, 1], [0.1, 0.1]))) == ["learning rate"]


def test_learning_rate_errors():
    with pytest.raises(ValueError, match=r"steps has shape \(3,\) and rates \(2,\), expected one rate for each step"):
        plots.learning_rate([0, 1, 2], [0.1, 0.1])


@pytest.mark.parametrize("metric", [metrics.nll, metrics.accuracy])
def test_scores_are_those_of_selection(metric):
    ax = plots.score_by_size(Y, P, metric)
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["newest n combined"][:, 1], selection.scores_by_size(Y, P, metric))
    np.testing.assert_array_equal(drawn["oldest n combined"][:, 1], selection.scores_by_size(Y, P, metric, "oldest"))
    np.testing.assert_array_equal(drawn["n-th member alone"][:, 1], [metric(Y, one) for one in P])
    assert f"{metric.facts.better} is better" in ax.get_ylabel()


def test_scores_of_regression_and_of_one_member():
    outputs = RNG.normal(size=(3, 30, 1))
    assert plots.score_by_size(Y, outputs, metrics.squared_error).get_ylabel() == "squared error (lower is better)"
    plots.score_by_size(Y, P[:1]).figure.savefig(io.BytesIO())


def test_heatmaps_show_the_matrices():
    np.testing.assert_array_equal(plots.correlation(P).images[0].get_array(), diversity.softmax_correlation_matrix(P))
    np.testing.assert_array_equal(plots.disagreement(P).images[0].get_array(), diversity.disagreement_matrix(P))


def test_heatmaps_of_one_member_and_of_many():
    plots.disagreement(P[:1]).figure.savefig(io.BytesIO())
    assert len(plots.disagreement(P).texts) == 16
    assert len(plots.disagreement(np.repeat(P, 4, axis=0)).texts) == 0


def test_averages_of_weights_are_solid_and_of_predictions_dashed():
    ax = DRAWN["averages"]()
    drawn = {line.get_label(): line for line in ax.get_lines()}
    assert set(drawn) == {
        "n-th newest alone",
        *(f"{what}, {kind}" for what in ("weights", "predictions") for kind in SCORES),
    }
    for kind, scores in SCORES.items():
        for what, style in (("weights", "-"), ("predictions", "--")):
            line = drawn[f"{what}, {kind}"]
            np.testing.assert_array_equal(line.get_ydata(), scores)
            assert line.get_linestyle() == style
        assert drawn[f"weights, {kind}"].get_color() == drawn[f"predictions, {kind}"].get_color()


def test_single_members_far_off_do_not_flatten_the_lines():
    ax = plots.averages([0.9, 0.1, 1.2], SCORES, SCORES, metrics.accuracy.facts)
    drawn = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(drawn["n-th newest alone"].get_ydata(), [0.9])
    edges = [line for line in ax.get_lines() if line.get_marker() in "^v"]
    assert [(*line.get_xdata(), line.get_marker(), *line.get_ydata()) for line in edges] == [
        (3, "^", ax.get_ylim()[1]),
        (2, "v", ax.get_ylim()[0]),
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()].count("alone, beyond the edge") == 1
    same = {"equal": [0.9, 0.9 + 1e-12]}
    ax = plots.averages([0.9, 0.1], same, same, metrics.accuracy.facts)
    np.testing.assert_array_equal(ax.get_lines()[-1].get_ydata(), [0.9, 0.1])


def test_averages_of_other_numbers_of_members_and_of_many_kinds():
    with pytest.raises(ValueError, match=r"weights, equal has shape \(3,\), expected a score for each of 2 members"):
        plots.averages([0.9, 0.8], SCORES, SCORES, metrics.accuracy.facts)
    many = {str(kind): [0.9, 0.8] for kind in range(5)}
    assert len(plots.averages([0.9, 0.8], many, many, metrics.accuracy.facts).get_lines()) == 11


def test_a_barrier_is_measured_from_the_line_between_the_ends():
    assert plots.barrier([0, 0.25, 1], [0.0, 1.0, 0.4]).get_title("left").endswith("barrier 0.9")
    assert plots.barrier([0, 0.5, 1], [0.4, 0.1, 0.2]).get_title("left").endswith("barrier 0")
    assert [text.get_text() for text in plots.barrier([0, 0.25, 1], [0.0, 1.0, 0.4]).texts] == ["", "0.9"]
    assert len(plots.barrier([0, 0.5, 1], [0.4, 0.1, 0.2]).texts) == 0
    with pytest.raises(ValueError, match="expected one loss for each"):
        plots.barrier([0, 1], [0.1, 0.2, 0.3])


def test_risk_and_coverage():
    drawn = lines(plots.risk_coverage([0.25, 1.0], [0.0, 0.1]))
    np.testing.assert_array_equal(drawn["surest examples"], [[0.25, 0.0], [1.0, 0.1]])
    np.testing.assert_array_equal(drawn["all examples answered"][:, 1], 0.1)
    with pytest.raises(ValueError, match="expected one risk for each coverage"):
        plots.risk_coverage([0.5, 1.0], [0.1])


def test_a_forest():
    ax = plots.forest(["a", "b", "c"], [-1, 0, 1], [-2, -1, 0.5], [-0.5, 1, 2], label="NLL")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    intervals = [line for line in ax.lines if line.get_linewidth() == 2]
    np.testing.assert_array_equal([line.get_xdata() for line in intervals], [[-2, -0.5], [-1, 1], [0.5, 2]])
    assert len({line.get_color() for line in intervals}) == 3
    with pytest.raises(ValueError, match="expected a mean, a lower and an upper end for each name"):
        plots.forest(["a"], [1], [0, 1], [2])


def test_learning_curves_leave_out_what_is_not_known():
    ax = plots.learning_curves([1, 2, 3], {"training": [3, 2, 1], "validation": [np.nan, 2, 3]}, [3])
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["training"], [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(drawn["validation"], [[2, 2], [3, 3]])
    with pytest.raises(ValueError, match=r"the curves training \(1,\): expected one value for each point"):
        plots.learning_curves([1, 2], {"training": [1]})


def test_reliability_shows_the_bins():
    found = reliability.bins(Y, P[0])
    ax = plots.reliability(Y, P[0])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), np.stack([found.confidence, found.accuracy], axis=-1))
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0], [1, 1]])


def test_confusion_shows_shares_and_counts():
    ax = plots.confusion([0, 0, 0, 1], np.eye(2)[[0, 0, 1, 1]], classes=["cat", "dog"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 1 / 3], [0, 1]])
    assert [text.get_text() for text in ax.texts] == ["2", "1", "1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]
    assert len(plots.confusion(Y, np.tile(np.eye(30)[0], (30, 1))).texts) == 0
    with pytest.raises(ValueError, match=r"expected \(examples,\) and \(examples, classes\)"):
        plots.confusion(Y[:3], P[0])
    with pytest.raises(ValueError, match="there are 2 names: expected one for each class"):
        plots.confusion(Y, P[0], classes=["a", "b"])


def test_predictions_stand_over_their_labels():
    ax = plots.predicted([1, 2, 4], [1.5, 1, 3])
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["one example"], [[1, 1.5], [2, 1], [4, 3]])
    np.testing.assert_array_equal(drawn["right"], [[1, 1], [4, 4]])
    assert len(ax.collections) == 0
    with pytest.raises(ValueError, match=r"deviations \(1,\): expected one of each for each example"):
        plots.predicted([1, 2], [1, 2], deviations=[1])


def test_numbers_stand_out_from_their_cells():
    for level in np.linspace(0, 1, 101):
        light, dark = (level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4), 0.0
        light, dark = (light, dark) if drawing.ink_on([level] * 3) == "black" else (1.0, light)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
