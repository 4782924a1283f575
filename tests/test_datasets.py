"""Data sets: honest splits that can be repeated, and an error for each thing that is usually wrong with a file."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima import datasets
from manyminima.datasets.loading import fifths
from manyminima.datasets.sources import FOLDER

BUNDLED = ("blobs", "breast-cancer", "digits", "wine")
needs_data = pytest.mark.skipif(
    not os.environ.get(FOLDER), reason=f"{FOLDER} is not set to a folder with the real data"
)


def rows_of(dataset):
    return np.concatenate([dataset.x_train, dataset.x_val, dataset.x_test])


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


def good(rows=50, classes=5, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, 4))
    return {"x": x, "y": np.arange(rows) % classes}


@pytest.mark.parametrize("name", BUNDLED)
def test_a_named_source_gives_consistent_parts_and_a_contract(name):
    data = datasets.load(name)
    assert data.contract == json.loads(json.dumps(data.contract))
    assert data.contract["source"] == name
    assert data.contract["rows"] == {"train": len(data.x_train), "val": len(data.x_val), "test": len(data.x_test)}
    assert data.x_train.dtype == np.float32
    assert data.y_test.dtype == np.int64
    assert data.outputs == len(np.unique(data.y_train)) == len(data.contract["classes"])
    assert data.input_shape == data.x_val.shape[1:] == tuple(data.contract["input_shape"])


def test_blobs_are_those_of_the_tutorials_and_validation_costs_no_training_row():
    from sklearn.datasets import make_blobs

    x, y = make_blobs(n_samples=1100, centers=3, n_features=2, cluster_std=2, random_state=2)[:2]
    data = datasets.load("blobs")
    np.testing.assert_array_equal(data.x_train, x[:100].astype(np.float32))
    np.testing.assert_array_equal(data.y_test, y[100:])
    assert len(data.x_val) == 200
    known = {tuple(row) for row in np.concatenate([data.x_train, data.x_test])}
    assert not known & {tuple(row) for row in data.x_val}
    for label in range(3):  # the same clouds: means within 4 standard errors
        gap = data.x_val[data.y_val == label].mean(0) - data.x_test[data.y_test == label].mean(0)
        assert np.abs(gap).max() < 4 * 2 * np.sqrt(1 / 66 + 1 / 333)


def test_a_source_without_test_part_is_split_60_20_20_by_class():
    data = datasets.load("digits")
    assert data.contract["split"] == "60/20/20, stratified"
    shares = [np.bincount(y) / len(y) for y in (data.y_train, data.y_val, data.y_test)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.01)
    np.testing.assert_allclose(shares[0], shares[2], atol=0.01)


def test_the_split_depends_on_its_seed_alone():
    first, again, other = datasets.load("wine"), datasets.load("wine"), datasets.load("wine", seed=1)
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert first.contract == again.contract
    assert first.contract["test_sha256"] != other.contract["test_sha256"]
    np.testing.assert_array_equal(np.sort(rows_of(first), axis=0), np.sort(rows_of(other), axis=0))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 5))
def test_fifths_take_every_row_once_and_a_fifth_of_each_class(labels, seed):
    labels = np.array(labels)
    parts = fifths(labels, ["val", "test"], seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(labels)))
    for label in np.unique(labels):
        wanted = round((labels == label).sum() / 5)
        assert (labels[parts["val"]] == label).sum() == (labels[parts["test"]] == label).sum() == wanted


def test_a_file_with_x_and_y_is_split(tmp_path):
    path = write(tmp_path / "a.npz", **good())
    data = datasets.load(path)
    assert data.contract["rows"] == {"train": 30, "val": 10, "test": 10}
    assert data.contract["source"] == str(path)
    assert len(data.contract["sha256"]) == 64
    assert data.contract["classes"] == ["0", "1", "2", "3", "4"]


def test_a_test_part_is_left_alone(tmp_path):
    train, test = good(), good(7, seed=1)
    path = write(tmp_path / "a.npz", x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"])
    data = datasets.load(str(path))
    np.testing.assert_array_equal(data.x_test, test["x"].astype(np.float32))
    np.testing.assert_array_equal(data.y_test, test["y"])
    assert data.contract["split"] == "val is 20 % of the training part, stratified"
    assert (len(data.x_train), len(data.x_val)) == (40, 10)


def test_own_validation_part_is_used(tmp_path):
    train, val, test = good(), good(9, seed=1), good(6, seed=2)
    parts = {"train": train, "val": val, "test": test}
    path = write(tmp_path / "a.npz", **{f"{k}_{p}": a for p, part in parts.items() for k, a in part.items()})
    data = datasets.load(path)
    np.testing.assert_array_equal(data.y_val, val["y"])
    assert len(data.x_train) == 50


def test_bytes_of_images_stay_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
    data = datasets.load(write(tmp_path / "a.npz", x=images, y=np.arange(20, dtype=np.uint8) % 2))
    assert data.x_train.dtype == np.uint8
    assert data.contract["dtype"] == "uint8"
    assert data.contract["input_shape"] == [8, 8]


def test_regression_keeps_real_targets(tmp_path):
    path = write(tmp_path / "a.npz", x=good()["x"], y=np.linspace(0, 1, 50))
    data = datasets.load(path, task="regression")
    assert data.y_train.dtype == np.float32
    assert (data.task, data.outputs, data.contract["classes"]) == ("regression", 1, [])


def test_names_are_the_modules_functions():
    names = {"blobs", "breast-cancer", "cifar10", "cifar100", "digits", "fashion-mnist", "mnist1d", "wine"}
    assert set(datasets.NAMES) == names
    assert set(datasets.__all__) == set(dir(datasets))


def bad(**changes):
    return {**good(), **changes}


def with_value(value):
    x = good()["x"]
    x[17, 2] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": np.ones((5, 2))},
            r"has no y_train; it has x_train\..*numpy\.savez\(path, x_train=x_train, y_train",
        ),
        ({"x": np.ones((5, 2))}, r"has no y; it has x\..*numpy\.savez"),
        ({"images": np.ones((5, 2))}, r"has no x_train and no y_train; it has images\."),
        ({**good(), "x_test": np.ones((5, 4))}, r"has no y_test; it has x, x_test, y\."),
        ({**good(), "x_train": np.ones((5, 4))}, r"both x and x_train.*Remove one"),
        (bad(y=np.arange(49) % 3), r"50 inputs \(50, 4\) and labels of shape \(49,\).*same length"),
        (bad(x=with_value(np.nan)), r"row 17 of the train inputs holds nan \(1 of 50 rows do\).*nan_to_num"),
        (bad(x=with_value(-np.inf)), r"row 17 of the train inputs holds -inf.*drop those rows"),
        (bad(x=np.ones(50)), r"shape \(50,\)\..*x\.reshape\(len\(x\), -1\)"),
        (bad(x=np.full((50, 2), "a")), r"of type <U1.*x\.astype\('float32'\)"),
        (bad(y=np.linspace(0, 1, 50)), r"float64, not integers \(row 1: 0\.02.*y\.astype\(int\)"),
        (bad(y=np.array(["cat", "dog"] * 25)), r"<U3, not integers \(row 0: cat\).*numpy\.unique"),
        (bad(y=np.eye(5)[np.arange(50) % 5]), r"shape \(50, 5\).*y\.argmax\(axis=1\)"),
        (bad(y=(np.arange(50) % 3)[:, None]), r"shape \(50, 1\).*y\.ravel\(\)"),
        (bad(y=np.arange(50) % 3 - 1), r"row 0 has label -1.*numpy\.unique"),
        (bad(y=np.arange(50) % 3 + 1), r"no training row has label 0; there are rows of 1, 2, 3.*numpy\.unique"),
        (bad(y=np.array([0, 1] * 23 + [2] * 4)), r"class 2 has 4 rows\. Expected at least 5.*leave the class out"),
        (bad(y=np.zeros(50, int)), r"all training rows have label 0.*check the labels"),
        (
            bad(x_test=np.ones((5, 3)), y_test=np.zeros(5, int)),
            r"the test inputs are .*\(3,\), the train inputs .*\(4,\)",
        ),
        (bad(x_test=np.ones((5, 4)), y_test=np.full(5, 7)), r"test row 0 has label 7, but there are 5 classes"),
    ],
)
def test_a_bad_file_is_named_with_the_way_out(tmp_path, arrays, message):
    path = write(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        datasets.load(path)


def test_python_objects_are_not_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, x=np.array([[1], [2, 3]], dtype=object), y=np.arange(2))
    with pytest.raises(ValueError, match=r"array 'x'.*Python objects.*save numpy\.stack"):
        datasets.load(path)


def test_a_file_that_is_no_npz(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"is not an \.npz file.*numpy\.savez"):
        datasets.load(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"one array without a name.*numpy\.savez"):
        datasets.load(tmp_path / "b.npy")


def test_a_truncated_file(tmp_path):
    path = write(tmp_path / "a.npz", **good())
    whole = bytearray(path.read_bytes())
    whole[120] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"(damaged|is not an \.npz).*(again|numpy\.savez)"):
        datasets.load(path)


def test_a_missing_file_lists_its_neighbours(tmp_path):
    write(tmp_path / "near.npz", **good())
    with pytest.raises(FileNotFoundError, match=r"Check the path; the folder '.*' has near\.npz"):
        datasets.load(tmp_path / "far.npz")


def test_unknown_names_tasks_and_seeds():
    with pytest.raises(ValueError, match=r"the seed is 18446744073709551616\. .*below 2\*\*64"):
        datasets.load("wine", seed=2**64)
    for nothing in ("", None, 3):
        with pytest.raises(ValueError, match=r"no data set .* Expected one of blobs"):
            datasets.load(nothing)
    with pytest.raises(ValueError, match=r"no data set 'digit'. Did you mean digits\? Expected one of blobs"):
        datasets.load("digit")
    with pytest.raises(ValueError, match="Expected one of: multiclass, regression"):
        datasets.load("digits", task="binary")
    with pytest.raises(ValueError, match="such as seed=0"):
        datasets.load("digits", seed=-1)


def test_mnist1d_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(FileNotFoundError, match=rf"github\.com/greydanus/mnist1d.*export {FOLDER}="):
        datasets.load("mnist1d")
    monkeypatch.setenv(FOLDER, str(tmp_path))
    for name in ("mnist1d", "fashion-mnist"):
        with pytest.raises(FileNotFoundError, match=r"does not exist.*Put the file there"):
            datasets.load(name)


def test_named_sources_read_the_folder(monkeypatch, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28), np.uint8)
    labels = np.arange(100, dtype=np.uint8) % 10
    write(tmp_path / "fashion_mnist.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    monkeypatch.setenv(FOLDER, str(tmp_path))
    data = datasets.load("fashion-mnist")
    assert data.contract["classes"][9] == "ankle boot"
    assert data.contract["rows"] == {"train": 80, "val": 20, "test": 20}
    assert str(tmp_path) not in json.dumps(data.contract)


@needs_data
@pytest.mark.parametrize(("name", "rows", "shape"), [("mnist1d", 800, (40,)), ("fashion-mnist", 12000, (28, 28))])
def test_the_real_data(name, rows, shape):
    data = datasets.load(name)
    assert len(data.x_val) == rows
    assert data.input_shape == shape
    assert data.outputs == 10


# -- which rows a run is judged on ---------------------------------------------------------------------------------------


def test_a_run_is_judged_on_its_own_test_rows():
    data = datasets.load("wine", seed=3)
    for source in (None, "wine"):
        rows = datasets.evaluation_rows(data.contract, source)
        np.testing.assert_array_equal(rows.x, data.x_test)
        np.testing.assert_array_equal(rows.y, data.y_test)
        assert rows.text == "the 36 test rows of wine"


def test_a_copy_of_the_runs_file_gives_its_test_rows(tmp_path):
    path = write(tmp_path / "a.npz", **good())
    data = datasets.load(path)
    copy = tmp_path / "copy.npz"
    copy.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(datasets.evaluation_rows(data.contract, copy).x, data.x_test)


def test_another_file_gives_all_its_rows(tmp_path):
    contract = datasets.load(write(tmp_path / "a.npz", **good())).contract
    rows = datasets.evaluation_rows(contract, write(tmp_path / "b.npz", **good(8, seed=5)))
    assert len(rows.x) == len(rows.y) == 8
    assert rows.text.startswith("all 8 rows of")


def test_data_that_changed_since_training_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", **good())
    contract = datasets.load(path).contract
    write(path, **good(seed=9))
    with pytest.raises(ValueError, match=r"other test rows now than when the run was trained.*Restore the data"):
        datasets.evaluation_rows(contract)


def test_rows_that_do_not_fit_the_run(tmp_path):
    contract = datasets.load("wine").contract
    with pytest.raises(ValueError, match=r"inputs of shape \(4,\), but the run was trained on \(13,\) from 'wine'"):
        datasets.evaluation_rows(contract, write(tmp_path / "b.npz", **good()))
    other = write(tmp_path / "c.npz", x=np.ones((2, 13)), y=np.array([1, 3]))
    with pytest.raises(ValueError, match="row 1 has label 3, but there are 3 classes: expected 0 to 2"):
        datasets.evaluation_rows(contract, other)
    with pytest.raises(ValueError, match=r"does not say which data.*--data file\.npz"):
        datasets.evaluation_rows(None)
