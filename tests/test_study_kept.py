"""What a study keeps: it belongs to these rows, this model and this budget, and damage to it is named."""

import errno

import keras
import numpy as np
import pytest

from manyminima.comparison import identity
from manyminima.comparison.rows import dataset_of, digest
from manyminima.comparison.store import Store, parts_in
from problems import layers
from small_studies import X, build_model, parts, study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "study"
    study(into=folder)
    return folder


def altered(part, row):
    changed = [(x.copy(), y.copy()) for x, y in parts()]
    changed[part][0][row] += 1
    return changed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rows": altered(0, 7)}, "data sha256"),
        ({"rows": altered(1, 7)}, "data sha256"),
        ({"batch_size": 20}, "batch_size 16, not 20"),
        ({"build": lambda: build_model(optimizer=keras.optimizers.SGD(0.1, momentum=0.5))}, "model sha256"),
        ({"build": lambda: build_model(optimizer=keras.optimizers.Adam())}, "model optimizer"),
        (
            {"build": lambda: build_model(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=7))},
            "model sha256",
        ),
    ],
)
def test_what_is_kept_belongs_to_one_study(changes, named, folder):
    before = parts_in(folder)
    with pytest.raises(FileExistsError, match=f"holds another study: .*{named}.*choose another directory"):
        study(**changes, into=folder)
    assert parts_in(folder) == before


def test_a_study_that_asks_for_more_keeps_what_it_has(folder, monkeypatch):
    from manyminima.comparison import running

    trained = []

    def watched(job, method, *rest):
        trained.append(method.name)
        return running.predictions(job, method, *rest)

    monkeypatch.setattr("manyminima.comparison.studying.predictions", watched)
    study(recipes=["swa", "ema:decay=0.9"], into=folder)
    assert set(trained) == {"ema:decay=0.9"}


def test_names_that_keras_numbers_and_rates_are_no_other_model():
    first = identity.model_digest(build_model())
    assert identity.model_digest(build_model(optimizer=keras.optimizers.SGD(0.7, momentum=0.9))) == first
    assert identity.model_digest(build_model(4)) != first
    assert identity.model_digest(build_model(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=1))) != first


def test_a_model_that_does_not_say_what_it_is_made_of():
    class Own(keras.Model):
        def __init__(self, rate):
            super().__init__()
            self.drop, self.head = layers.Dropout(rate), layers.Dense(3, "softmax")

        def call(self, x, training=False):
            return self.head(self.drop(x, training=training))

    def built(rate):
        model = Own(rate)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model(X[:1])
        return identity.model_digest(model)

    assert built(0.1) == built(0.1) != built(0.2)


def test_digests_tell_rows_apart():
    same, other = dataset_of(parts()), dataset_of(altered(2, 0))
    assert digest(same) == digest(dataset_of(parts())) != digest(other)


def test_places_that_keep_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (file, file / "study"):
        with pytest.raises(NotADirectoryError, match="is a file. Choose another directory"):
            study(into=place)
    with pytest.raises(FileExistsError, match="is not empty, and holds no study"):
        study(into=tmp_path)
    assert file.read_text() == "mine"


def test_damage_is_named(tmp_path):
    store = Store(tmp_path / "a", {"epochs": 3})
    store.get({"method": "swa"}, lambda: {"probs": np.ones(3)})
    (part,) = (tmp_path / "a" / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(
        ValueError, match=r"\.npz' is damaged: .*Delete this file: the same call again makes this part anew"
    ):
        Store(tmp_path / "a", {"epochs": 3}).get({"method": "swa"}, dict)
    (tmp_path / "a" / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study.json' is damaged.*Choose another directory"):
        Store(tmp_path / "a", {"epochs": 3})


def test_a_full_disk_keeps_what_is_complete(tmp_path, monkeypatch):
    store = Store(tmp_path / "a", {"epochs": 3})
    store.get({"method": "swa"}, lambda: {"probs": np.ones(3)})

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(
        OSError, match="No space left on device.*The 1 parts before it are complete: make room"
    ) as caught:
        store.get({"method": "ema"}, lambda: {"probs": np.ones(3)})
    assert caught.value.errno == errno.ENOSPC
    assert parts_in(tmp_path / "a") == 1
    assert len(list((tmp_path / "a" / "parts").iterdir())) == 1
