"""Groups of replicas that a CPU's cores work on at the same time: whoever is in which group, a replica is a run of `fit`."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_runs import alone, assert_members, of_replica, together
from problems import BACKEND

if BACKEND != "jax":
    pytest.skip("elsewhere replicas are trained by fit itself", allow_module_level=True)

from manyminima.training.engine import lanes, program, stacked, unrolled

ROUNDING = 2e-4  # vectorised over replicas, sums of products are taken in another order
COUNTS = st.integers(1, 40)


@given(COUNTS, COUNTS, COUNTS)
def test_every_replica_is_in_one_group_and_all_groups_have_one_size(replicas, most, at_once):
    groups = lanes.split(replicas, most, at_once)
    assert {len(group) for group in groups} == {len(groups[0])}
    assert len(groups[0]) <= most
    joined = np.concatenate(groups)
    np.testing.assert_array_equal(joined[:replicas], np.arange(replicas))
    np.testing.assert_array_equal(joined[replicas:], replicas - 1)
    assert len(joined) - replicas < len(groups)  # a group loses one place at most
    assert len(groups) >= min(at_once, -(-replicas // len(groups[0])))


@given(COUNTS, COUNTS)
def test_no_core_waits_for_another_that_has_two_groups(replicas, cores):
    assert len(lanes.split(replicas, replicas, cores)) <= cores


def test_groups_are_at_work_at_the_same_time():
    met = threading.Barrier(2, timeout=30)
    assert sorted(lanes.each(lambda _: met.wait(), 2, 2)) == [0, 1]  # one alone would wait in vain


def test_results_come_in_the_order_of_groups_and_a_lane_keeps_to_it_too():
    done = []
    assert lanes.each(lambda g: done.append(g) or 10 * g, 6, 2) == [0, 10, 20, 30, 40, 50]
    assert [g for g in done if g % 2] == [1, 3, 5]
    assert [g for g in done if not g % 2] == [0, 2, 4]


def test_after_an_error_nothing_new_begins():
    begun = []

    def work(group):
        begun.append(group)
        if group == 0:
            raise ArithmeticError("no such batch")
        time.sleep(0.01)  # all of them would take two seconds

    with pytest.raises(ArithmeticError, match="no such batch"):
        lanes.each(work, 400, 2)
    assert len(begun) < 400


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("execution", ["stacked", "unrolled"])
def test_replicas_are_fits_however_many_cores_there_are(execution, cores, monkeypatch):
    """Three replicas in groups of 3, 2 (one of them twice) and 1."""
    for way in (stacked, unrolled):
        monkeypatch.setattr(way, "lanes", lambda devices: cores)
    monkeypatch.setattr(program, "_programs", type(program._programs)())
    found = together(execution=execution, replicas=3)
    assert len(found) == 9
    assert {np.shape(values) for values in found.about["history"].values()} == {(4, 3)}
    for replica in range(3):
        members, history = alone(5 + replica)
        vectorised = execution == "stacked" and cores < 3
        assert_members(of_replica(found, replica), members, ROUNDING if vectorised else 0)
        losses = np.array(found.about["history"]["loss"])[:, replica]
        np.testing.assert_allclose(losses, history.history["loss"], rtol=1e-5)
