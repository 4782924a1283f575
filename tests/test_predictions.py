"""Predictions and labels from files that others wrote."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from cases import noisy
from manyminima.datasets.natural import natural_order
from manyminima.datasets.predictions import read, split

Y = np.arange(30) % 3
P = noisy(Y, [1.0, 2.0])


class Files:
    """Arrays in a folder, by the names of the files."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name, *arrays, **named):
        path = self.folder / name
        if name.endswith("npz"):
            np.savez(path, *arrays, **named)
        else:
            np.save(path, arrays[0])
        return path


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_every_layout_of_the_same_arrays(files):
    labels, inputs = files("y.npy", Y), files("x.npy", np.zeros((30, 8, 8)))
    several = {f"step_{10 * n}": one for n, one in enumerate(P[::-1], start=1)}
    for path in (
        files("p.npy", P),
        files("one.npz", P),
        files("named.npz", probs=P),
        files("each.npz", *P),
        files("steps.npz", **{"step_10": P[1], "step_9": P[0]}),
        files("tens.npz", **{f"m{n}": P[n - 9] for n in (10, 9)}),
    ):
        found = read(path, labels, inputs)
        np.testing.assert_array_equal(found.probs, P)
        np.testing.assert_array_equal(found.y, Y)
        np.testing.assert_array_equal(found.places, np.arange(30))
        assert found.x is not None
        assert (found.x.shape, found.task) == ((30, 8, 8), "multiclass")
    assert read(files("reverse.npz", **several), labels, None).x is None
    np.testing.assert_array_equal(read(files("reverse.npz", **several), files("y.npz", Y), None).probs, P[::-1])


def test_numbers_in_names_count_as_numbers():
    names = [f"arr_{n}" for n in range(12)]
    assert sorted(sorted(names), key=natural_order) == names
    assert sorted(["b1", "a10", "a9", "a"], key=natural_order) == ["a", "a9", "a10", "b1"]


@pytest.mark.parametrize("task", [None, "multiclass"])
def test_logits_of_classes(files, task):
    logits = np.random.default_rng(0).normal(size=(2, 30, 3)).astype(np.float32)
    found = read(files("p.npy", logits), files("y.npy", Y), None, from_logits=True, task=task)
    np.testing.assert_allclose(found.probs, softmax(logits.astype(float), axis=-1))
    assert found.task == "multiclass"


def test_logits_of_labels_and_of_one_unit_are_sigmoids(files):
    rng = np.random.default_rng(0)
    y, logits = rng.integers(2, size=(30, 4)), rng.normal(size=(2, 30, 4))
    found = read(files("p.npy", logits), files("y.npy", y), None, from_logits=True, task="multilabel")
    np.testing.assert_allclose(found.probs, expit(logits))
    one = read(files("p.npy", logits[..., :1]), files("y.npy", y[:, 0]), None, from_logits=True)
    np.testing.assert_allclose(one.probs, expit(logits[..., :1]))
    assert one.task == "multilabel"
    with pytest.raises(
        ValueError, match=r"\(30, 4\), one for each logit, and several are 1: .* --task multilabel, or --task"
    ):
        read(files("p.npy", logits), files("y.npy", y), None, from_logits=True)


def test_numbers_stay_as_they_are(files):
    found = read(files("p.npy", 5 * P - 2), files("y.npy", 1.5 * P[0]), None, from_logits=True, task="regression")
    np.testing.assert_array_equal(found.probs, 5 * P - 2)


# -- setting rows apart -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_part_and_the_rest_are_the_rows_once(files, share):
    rows = read(files("p.npy", P), files("y.npy", Y), files("x.npy", np.arange(30)))
    rest, apart = split(rows, share)
    assert apart is not None
    assert len(apart.y) == round(30 * share)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest.places, apart.places])), np.arange(30))
    for part in (rest, apart):
        np.testing.assert_array_equal(part.y, Y[part.places])
        np.testing.assert_array_equal(part.probs, P[:, part.places])
        np.testing.assert_array_equal(part.x, part.places)
        assert part.task == rows.task
    np.testing.assert_array_equal(split(rows, share)[0].places, rest.places)
    assert split(rows, None) == (rows, None)


def test_the_task_is_that_of_all_rows(files):
    """The rows that are not set apart may look like another task: here each has one label."""
    y = np.eye(3, dtype=int)[Y]
    y[7] = 1
    probs = P / P.sum(-1, keepdims=True)
    rows = read(files("p.npy", probs), files("y.npy", y), None)
    assert rows.task == "multilabel"
    assert {part.task for part in split(rows, 0.5) if part} == {"multilabel"}


def test_a_share_that_leaves_nothing(files):
    rows = read(files("p.npy", P), files("y.npy", Y), None)
    for share in (0.01, 0.99):
        with pytest.raises(ValueError, match=rf"a share of {share} of 30 examples leaves one part empty. Take another"):
            split(rows, share)


# -- files that are none ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.npy", b"", r"p\.npy' cannot be read as \.npy or \.npz: .*Write it with np\.save or np\.savez, as numbers"),
        ("p.npy", b"hello", r"it holds Python objects, or is no such file\. Write it with"),
        ("p.npz", b"PK\x03\x04 and no more", r"p\.npz' cannot be read"),
        ("p.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': 'nonsense'", r"p\.npy' cannot be read"),
    ],
    ids=range(4),
)
def test_what_is_no_file_of_arrays(files, name, content, says):
    (files.folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read(files.folder / name, files("y.npy", Y), None)


def test_objects_are_refused_and_not_run(files, tmp_path):
    class Runs:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.save(tmp_path / "p.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "p.npz", np.array([Runs()], dtype=object))
    for name in ("p.npy", "p.npz"):
        with pytest.raises(ValueError, match=r"it holds Python objects.*as numbers"):
            read(tmp_path / name, files("y.npy", Y), None)
    assert not (tmp_path / "ran").exists()


def test_truncated_files(files):
    labels = files("y.npy", Y)
    for path in (files("p.npy", P), files("p.npz", *P)):
        whole = path.read_bytes()
        for length in (len(whole) // 3, len(whole) - 40):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"cannot be read as \.npy or \.npz"):
                read(path, labels, None)


def test_a_damaged_member_of_an_archive(files):
    path = files.folder / "p.npz"
    np.savez_compressed(path, *P)
    content = bytearray(path.read_bytes())
    content[100:160] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.npz' cannot be read"):
        read(path, files("y.npy", Y), None)


def test_a_missing_file(files):
    y, none = files("y.npy", Y), files.folder / "none.npy"
    for arguments in ((none, y, None), (files("p.npy", P), none, None), (files("p.npy", P), y, none)):
        with pytest.raises(FileNotFoundError, match=r"no file '.*none\.npy'\. Write one with np\.save or np\.savez"):
            read(*arguments)


ARRAYS = [
    (
        P[0],
        Y,
        r"\(30, 3\), expected \(members, .* single member save probs\[None\]; for two .* one number p\[\.\.\., None\]",
    ),
    (
        P,
        Y[1:],
        r"y\.npy' has 29 labels, but '.*p\.npy' predictions of 30 examples .*members first\)\. Save the same rows",
    ),
    (P, np.float64(1), r"y\.npy' has the single value 1\.0, but"),
    (P, Y + 1, r"count from 1: pass y - 1"),
    (P, Y.astype(str), r"Number the classes: np\.unique"),
    (np.log(P), Y, r"apply a softmax first"),
    (P.astype(int), Y, r"int64 values, expected floating-point"),
    (P * np.where(np.arange(30) == 17, np.nan, 1)[:, None], Y, r"nan in member 0, row 17"),
    (P * np.where(np.arange(30) == 17, 2, 1)[:, None], Y, r"member 0, row 17 of probs sums to 2"),
    (P[:, :0], Y[:0], r"probs is empty"),
]


@pytest.mark.parametrize(("probs", "y", "says"), ARRAYS)
def test_arrays_that_do_not_fit(files, probs, y, says):
    """All rows are checked, so a row in a message is the row in the file."""
    with pytest.raises(ValueError, match=says):
        read(files("p.npy", probs), files("y.npy", y), None)


def test_other_files_that_do_not_fit(files):
    y, p = files("y.npy", Y), files("p.npy", P)
    with pytest.raises(ValueError, match=r"x\.npy' has 5 inputs, but '.*p\.npy' predictions of 30 examples"):
        read(p, y, files("x.npy", np.zeros((5, 8, 8))))
    with pytest.raises(ValueError, match=r"y\.npz' holds 2 arrays: arr_0, arr_1\. Save the one that is meant"):
        read(p, files("y.npz", Y, Y), None)
    with pytest.raises(ValueError, match=r"different shapes: .*Expected one array for each member"):
        read(files("p.npz", P[0], P[1][:5]), y, None)
    with pytest.raises(ValueError, match=r"p\.npz' holds no arrays\. Write it with np\.savez\('p\.npz', \*members\)"):
        read(files("p.npz"), y, None)
    logits = files("p.npy", np.where(P.max() == P, np.inf, P))
    with pytest.raises(ValueError, match=r"holds inf in member"):
        read(logits, y, None, from_logits=True)
    with pytest.raises(ValueError, match=r"complex128 values, expected floating-point"):
        read(files("p.npy", P.astype(complex)), y, None, from_logits=True)
    with pytest.raises(ValueError, match=r"task 'classes' is not known"):
        read(files("p.npy", P), y, None, task="classes")
