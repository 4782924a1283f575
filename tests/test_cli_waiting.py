"""Work that is done in pieces, so that a terminal can show how far it is, gives what the whole would."""

import numpy as np
import pytest

import manyminima as mm
from manyminima.cli.waiting import predict_members, watched
from problems import network, several


@pytest.fixture(scope="module")
def ensemble():
    model = network(plain=True)
    return mm.Ensemble(model, several(model), task="multiclass")


@pytest.mark.parametrize("rows", [5, 4096, 8191, 8192, 8193, 12_500])
def test_pieces_are_the_whole_bit_for_bit(ensemble, rows):
    x = np.random.default_rng(1).normal(size=(rows, 4)).astype("float32")
    np.testing.assert_array_equal(predict_members(ensemble, x, "rows [1]"), ensemble.predict_members(x))


def test_files_get_nothing_of_a_bar(capfd):
    assert list(watched([1, 2, 3], "[bold] what")) == [1, 2, 3]
    assert capfd.readouterr() == ("", "")
