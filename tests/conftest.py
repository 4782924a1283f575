"""Shape annotations are checked while the tests run; trained fixtures are shared, because a fit costs a second."""

from jaxtyping import install_import_hook

# The half that works on arrays. Elsewhere a wrong type must reach our own messages, which tests match.
_ARRAY_HALF = (
    *(
        "arrays",
        "calibrate",
        "calibrated",
        "checks",
        "combine",
        "decomposition",
        "detection",
        "diversity",
        "equivalent",
        "metrics",
        "reliability",
    ),
    *("mixtures", "plots", "reporting", "segmentation", "selection", "sharpness", "uncertainty", "weight_space"),
)
_hook = install_import_hook([f"manyminima.{name}" for name in _ARRAY_HALF], "beartype.beartype")

import os  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One thread for each worker's kernels: the workers themselves fill the cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
# Many tests compile the same small program; JAX may take it from the first that did.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "manyminima-tests-jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from hypothesis import settings  # noqa: E402

# A shared machine may stall at any moment: how long an example takes proves nothing.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

import pytest  # noqa: E402

# The half that works on arrays is tested without Keras, so it is imported where a fixture is asked for.


@pytest.fixture(scope="module")
def model():
    """A small network, compiled."""
    from problems import compiled

    return compiled()


@pytest.fixture(scope="module")
def ensemble(model):
    """Three members around the weights of `model`."""
    import manyminima as mm
    from problems import several

    return mm.Ensemble(model, several(model))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two members and a best model, as `fit` leaves it; it is only read."""
    import manyminima as mm
    from problems import compiled, data

    path = tmp_path_factory.mktemp("runs") / "run"
    x, y = data(32)
    collect = mm.Collect(mm.recipes.checkpoints(), into=path, best="loss")
    compiled().fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[collect])
    return path


@pytest.fixture
def run(whole, tmp_path):
    """A copy of that run, to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def blank(monkeypatch):
    """Networks without first weights, where they do not matter: JAX compiles a program for each shape that it draws."""
    import keras

    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: zeros(shape, dtype)
    )


@pytest.fixture
def image_cache(tmp_path, monkeypatch):
    """An empty cache of decoded images."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "manyminima" / "images"
