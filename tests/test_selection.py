import numpy as np
import pytest

from cases import COMBINE, METRICS
from manyminima import combine, metrics, selection

CLASSES = [case.metric for case in METRICS if case.inputs == "classes"]


def problem(members=5, examples=40):
    rng = np.random.default_rng(0)
    return rng.integers(3, size=examples), rng.dirichlet(np.ones(3), size=(members, examples)).astype(np.float32)


@pytest.mark.parametrize("metric", CLASSES, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("rule", [case.rule for case in COMBINE], ids=lambda rule: rule.__name__)
def test_is_combining_again_for_every_size(metric, rule):
    y, probs = problem()
    newest = [metric(y, rule(probs[-n:])) for n in range(1, 6)]
    oldest = [metric(y, rule(probs[:n])) for n in range(1, 6)]
    np.testing.assert_allclose(selection.scores_by_size(y, probs, metric, rule=rule), newest, rtol=1e-9)
    np.testing.assert_allclose(selection.scores_by_size(y, probs, metric, "oldest", rule), oldest, rtol=1e-9)


def test_the_ends_are_single_members_and_the_ensemble():
    y, probs = problem()
    newest = selection.scores_by_size(y, probs)
    oldest = selection.scores_by_size(y, probs, order="oldest")
    np.testing.assert_allclose(
        [newest[0], oldest[0], newest[-1], oldest[-1]],
        [metrics.nll(y, one) for one in (probs[-1], probs[0], combine.mean(probs), combine.mean(probs))],
    )


def test_copies_stay_where_one_member_is():
    y, probs = problem(1)
    np.testing.assert_allclose(
        selection.scores_by_size(y, np.repeat(probs, 4, axis=0)), np.full(4, metrics.nll(y, probs[0])), rtol=1e-12
    )


def test_other_tasks_and_weights():
    rng = np.random.default_rng(1)
    y, outputs = rng.integers(2, size=20), rng.uniform(size=(3, 20, 1))
    expected = [metrics.squared_error(y, outputs[-n:].mean(0)) for n in (1, 2, 3)]
    np.testing.assert_allclose(selection.scores_by_size(y, outputs, metrics.squared_error), expected)
    times = rng.integers(3, size=20)
    repeated = selection.scores_by_size(np.repeat(y, times), np.repeat(outputs, times, axis=1))
    np.testing.assert_allclose(selection.scores_by_size(y, outputs, sample_weight=times), repeated)


def test_unknown_order():
    with pytest.raises(ValueError, match=r"order is 'best', expected 'newest'.* or 'oldest'"):
        selection.scores_by_size(*problem(), order="best")
