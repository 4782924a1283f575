"""CIFAR-10 and CIFAR-100 as they may lie in the data folder: lossless, or as images that say how lossy they are."""

import json

import numpy as np
import pytest

from images_on_disk import pixels, save
from manyminima import datasets
from manyminima.datasets.image_files import compression
from manyminima.datasets.sources import FOLDER

pytestmark = pytest.mark.usefixtures("image_cache")


def cifar_images(root, quality):
    for part, count in (("train", 10), ("test", 4)):
        for c in range(10):
            for i, array in enumerate(pixels(count, seed=c, shape=(32, 32, 3))):
                save(root / part / f"class{c}" / f"{i}.jpg", array, quality=quality)
    return root


def test_lossy_copies_of_cifar_are_called_that(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    path = cifar_images(tmp_path / "cifar10-images", 60)
    assert compression(path) == "JPEG-60"
    data = datasets.load("cifar10")
    assert data.contract["source"] == "CIFAR-10 (JPEG-60)"
    assert data.contract["name"] == "cifar10"
    assert str(tmp_path) not in json.dumps(data.contract)
    for source in (None, "cifar10"):
        rows = datasets.evaluation_rows(data.contract, source)
        np.testing.assert_array_equal(rows.x, data.x_test)
        assert rows.text == "the 40 test rows of CIFAR-10 (JPEG-60)"
    np.testing.assert_array_equal(datasets.run_dataset(data.contract).x_train, data.x_train)


def test_lossless_copies_are_called_cifar(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    x = pixels(500, shape=(32, 32, 3))
    y = np.arange(500) % 100
    np.savez(tmp_path / "cifar100.npz", x_train=x, y_train=y[:, None], x_test=x[:100], y_test=y[:100, None])
    data = datasets.load("cifar100")
    assert data.contract["source"] == "cifar100"
    assert data.contract["classes"] == sorted(set(data.contract["classes"]))
    assert (data.contract["classes"][0], data.contract["classes"][-1], data.outputs) == ("apple", "worm", 100)
    for label in ("a", "b"):
        save(tmp_path / "lossless" / label / "1.png", pixels(1)[0])
    assert compression(tmp_path / "lossless") is None


def test_where_cifar_should_be(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"has no cifar100\.npz, cifar100-images\.tar\.xz .*Put one of them there"
    ):
        datasets.load("cifar100")
