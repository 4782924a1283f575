"""The package's face: every name is there, none is imported before it is used, and what is missing is said."""

import subprocess
import sys

import pytest

import manyminima as mm


def run(program: str, **env):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, **env)


def test_every_public_name_is_there_and_sorted():
    assert mm.__all__ == sorted(mm.__all__)
    for name in mm.__all__:
        assert getattr(mm, name) is not None
        assert name in dir(mm)
    with pytest.raises(AttributeError, match="it has Collect, Combination, Ema"):
        mm.Colect  # noqa: B018


def test_importing_imports_nothing():
    done = run("import sys, manyminima as mm; mm.metrics, mm.recipes, mm.report; assert 'keras' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_a_missing_backend_is_one_sentence():
    hide = "import sys; sys.modules['jax'] = None; import os; os.environ['KERAS_BACKEND'] = 'jax'; import manyminima as mm;"
    done = run(hide + "mm.Collect")
    assert 'pip install "manyminima[jax]"' in done.stderr
