"""Members from runs, several runs, files of Keras, and other backends."""

import os
import subprocess
import sys

import numpy as np
import pytest

import manyminima as mm
from problems import BACKEND, assert_same, compiled, data, head, several

X, Y = data(70)


def trained(into, seed=0):
    model = compiled(seed=seed)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    return model


def test_runs_are_joined(tmp_path):
    trained(tmp_path / "a"), trained(tmp_path / "b", seed=1)
    joined = mm.load([tmp_path / "a", tmp_path / "b"])
    assert len(joined) == 4
    separate = [mm.load(tmp_path / name).predict_members(X) for name in "ab"]
    np.testing.assert_allclose(joined.predict_members(X), np.concatenate(separate), atol=1e-6)
    assert joined.about["members"][2]["file"].startswith(str(tmp_path / "b"))
    (tmp_path / "b" / "members" / "r000-s00000003.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b/members/r000-s00000003.safetensors' is truncated"):
        mm.load([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ValueError, match='write mm.load\\("runs/x"\\)'):
        mm.load([])


def test_members_made_elsewhere(tmp_path):
    model = compiled()
    members = several(model, 3)
    for number, weights in zip((2, 9, 10), members, strict=True):
        model.set_weights(weights)
        model.save_weights(tmp_path / f"epoch-{number}.weights.h5")
        model.save(tmp_path / f"epoch-{number}.keras")
    for pattern in ("*.weights.h5", "*.keras"):
        ensemble = mm.Ensemble.from_files(compiled, [tmp_path / pattern])
        assert len(ensemble) == 3
        for found, expected in zip(ensemble, members, strict=True):
            assert_same(found, expected)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        mm.Ensemble.from_files(compiled, [tmp_path / "*.hdf5"])
    (tmp_path / "weights.txt").touch()
    with pytest.raises(ValueError, match=r"ending in .keras or .weights.h5"):
        mm.Ensemble.from_files(compiled, [tmp_path / "weights.txt"])
    with pytest.raises(ValueError, match=r"epoch-2.keras' holds 8 arrays, and model"):
        mm.Ensemble.from_files(lambda: head(3, "softmax"), [tmp_path / "*.keras"], task="multiclass")


def others():
    from importlib.util import find_spec

    return [b for b in ("jax", "torch", "tensorflow") if b != BACKEND and find_spec(b)]


@pytest.mark.parametrize("backend", others())
def test_another_backend_predicts_the_same(backend, tmp_path):
    trained(tmp_path / "run")
    expected = mm.load(tmp_path / "run").predict_members(X)
    np.save(tmp_path / "x.npy", X)
    program = (
        f"import numpy, manyminima as mm; e = mm.load({str(tmp_path / 'run')!r});"
        f"numpy.save({str(tmp_path / 'out.npy')!r}, e.predict_members(numpy.load({str(tmp_path / 'x.npy')!r})))"
    )
    env = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=env)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)
