"""The command line as a person meets it: help at once, one message for an error, and a run from training to report."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from commands import run
from manyminima import recipes
from manyminima.cli import app, backend, interrupting
from manyminima.datasets import NAMES

TRAIN = ["train", "--data", "wine", "--model", "mlp:8", "--epochs", "4"]
SNAPSHOT = [*TRAIN, "--recipe", "snapshot", "--cycles", "2", "--peak", "0.1"]


def python(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    ).stdout


# -- help ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["predict", "--help"],
        ["average", "--help"],
        ["show", "--help"],
        ["recipes", "--help"],
        ["plot", "schedule", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments):
    heavy = python(
        "import sys; from manyminima.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code\n"
        "print('HEAVY', {'keras', 'sklearn', 'matplotlib', 'numpy', 'jax', 'torch'} & sys.modules.keys())"
    )
    assert heavy.endswith("HEAVY set()\n")


def test_help_names_every_choice_and_every_option_of_every_recipe():
    text = run("train", "--help")
    for word in (*NAMES, *recipes.__all__, "mlp:256,128", "cnn1d", "adamw"):
        assert word in text
    for option in ("--cycles", "--peak", "--floor", "--every", "--last", "--length-multiplier", "--start", "--gamma"):
        assert option in text
    assert "None takes" not in text


def test_version_and_python_m():
    import manyminima

    assert run("--version") == f"manyminima {manyminima.__version__}"
    done = subprocess.run([sys.executable, "-m", "manyminima", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"manyminima {manyminima.__version__}\n"


# -- the backend ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pretend that only these backends are installed, with an empty Keras home."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def pretend(*names):
        monkeypatch.setattr(backend, "_installed", lambda name: name in names)

    return pretend


def test_the_environment_wins(installed, monkeypatch, tmp_path):
    installed("jax", "torch")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend.wanted() == ("torch", "from KERAS_BACKEND")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ('{"backend": "torch"}', "torch"),
        ('{"backend": "tensorflow"}', "jax"),
        ("{}", "jax"),
        ("nonsense", "jax"),
        ("[]", "jax"),
    ],
)
def test_then_keras_json_if_that_is_installed(installed, tmp_path, config, name):
    installed("jax", "torch")
    (tmp_path / "keras.json").write_text(config)
    assert backend.wanted()[0] == name


def test_then_the_first_installed(installed):
    installed("tensorflow", "torch")
    assert backend.wanted()[0] == "torch"


def test_no_backend_says_what_to_install(installed, monkeypatch):
    installed()
    with pytest.raises(ImportError, match=r'type pip install "manyminima\[jax\]"'):
        backend.wanted()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match=r'pip install "manyminima\[torch\]"'):
        backend.wanted()
    monkeypatch.setenv("KERAS_BACKEND", "mxnet")
    with pytest.raises(ValueError, match=r"Expected one of jax, torch, tensorflow: type export KERAS_BACKEND=jax"):
        backend.wanted()


def test_an_unknown_backend_is_one_message(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "mxnet")
    assert run(*SNAPSHOT, "--out", tmp_path / "x", status=1).startswith("Error: KERAS_BACKEND is 'mxnet'")
    assert not (tmp_path / "x").exists()


# -- usage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--recipe", "snapshots"],
            "no recipe 'snapshots'. Expected one of checkpoints, cyclic, ema, fge, lawa, polyak, snapshot, swa.",
        ),
        (["--recipe", "snapshot"], "the recipe snapshot needs --cycles, for example --cycles 5."),
        (["--recipe", "checkpoints", "--cycles", "3"], "checkpoints does not take --cycles. It takes --every, --last."),
        (
            ["--recipe", "checkpoints", "--optimizer", "lion"],
            "no optimizer 'lion'. Expected one of sgd, nesterov, adam, adamw.",
        ),
        (["--recipe", "checkpoints", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["--recipe", "checkpoints", "--rate", "-1"], "Invalid value for '--rate'"),
        (["--recipe", "checkpoints", "--seed", str(2**32)], "Invalid value for '--seed'"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path, arguments, message):
    assert message in run(*TRAIN, *arguments, "--out", tmp_path / "x", status=2)
    assert not (tmp_path / "x").exists()


# -- errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--data", "wien"], "no data set 'wien'. Did you mean wine?"),
        (["--data", "gone.npz"], "no file 'gone.npz'. Check the path"),
        (["--model", "resnet"], "no model 'resnet'. Expected mlp"),
        (["--task", "binary"], "Expected one of: multiclass, regression"),
        (["--peak", "nan"], "expected peak to be a finite number, got nan"),
        (["--cycles", "0"], "expected cycles to be a whole number of at least 1, got 0"),
    ],
)
def test_an_error_is_one_message_and_nothing_is_left(tmp_path, changes, message):
    text = run(*SNAPSHOT, *changes, "--out", tmp_path / "x", status=1)
    assert message in text
    assert "Traceback" not in text
    assert not (tmp_path / "x").exists()


def test_debug_shows_where(tmp_path):
    arguments = [*SNAPSHOT, "--data", "wien", "--out", str(tmp_path / "x"), "--debug"]
    assert isinstance(CliRunner().invoke(app, arguments).exception, ValueError)


def test_an_unwritable_place_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    text = run(*SNAPSHOT, "--out", tmp_path / "file" / "x", status=1)
    assert text.startswith("Error: cannot write to")
    assert text.endswith("is a file. Choose another --out.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    assert "no permission" in run(*SNAPSHOT, "--out", tmp_path / "x", status=1)


def test_ctrl_c_is_one_line_and_130(monkeypatch, tmp_path):
    from manyminima.datasets import loading

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load", interrupt)
    text = run(*SNAPSHOT, "--out", tmp_path / "x", status=130)
    assert text.endswith("Interrupted. What was written before is complete.")


def test_a_ctrl_c_that_python_drops_is_raised_again():
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupting.remembered():
            interrupting.check()
            with contextlib.suppress(KeyboardInterrupt):  # as in a finalizer
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                interrupting.check()
        with interrupting.remembered():  # another command
            interrupting.check()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_run_there(tmp_path):
    for command in ("show", "evaluate"):
        assert "holds no run" in run(command, tmp_path, status=1)


# -- the whole way -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "wine"
    text = run(*SNAPSHOT, "--out", out)
    return out, text


def test_train_says_what_it_does_and_what_comes_next(trained):
    out, text = trained
    assert "wine: 106 train, 36 val, 36 test rows · mlp: 139 parameters" in text
    assert "4 epochs of 4 steps" in text
    assert "member 2/2 at step 16, epoch 4: val_loss" in text
    assert text.endswith(f"Next: manyminima evaluate {out}")


def test_a_run_is_never_overwritten(trained):
    assert "already holds a run" in run(*SNAPSHOT, "--out", trained[0], status=1)


def test_show_lists_the_run_without_keras(trained):
    text = run("show", trained[0])
    for words in ("snapshot(cycles=2, peak=0.1", "mlp, 139 parameters", "wine: 106 train", "All files are complete."):
        assert words in text
    assert "r000-s00000008.safetensors" in text
    code = f"import sys; from manyminima.cli import app\ntry: app(['show', {str(trained[0])!r}])\nexcept SystemExit: pass\n"
    assert python(code + "print('keras' in sys.modules)").endswith("False\n")


def test_show_names_a_damaged_file(trained, tmp_path):
    import shutil

    copy = shutil.copytree(trained[0], tmp_path / "copy")
    member = copy / "members" / "r000-s00000008.safetensors"
    member.write_bytes(member.read_bytes()[:-8])
    assert "r000-s00000008.safetensors" in run("show", copy, status=1).split("kB")[-1]


def test_evaluate_reports_on_the_test_rows_and_writes_both_files(trained):
    out = trained[0]
    text = run("evaluate", out)
    assert "On the 36 test rows of wine:" in text
    assert json.loads((out / "analysis" / "report.json").read_text())
    assert "<html" in (out / "analysis" / "report.html").read_text()


def test_evaluate_on_another_file(trained, tmp_path):
    np.savez(tmp_path / "new.npz", x=np.random.default_rng(0).normal(size=(20, 13)), y=np.arange(20) % 3)
    text = run(
        "evaluate",
        trained[0],
        "--data",
        tmp_path / "new.npz",
        "--html",
        tmp_path / "a.html",
        "--json",
        tmp_path / "a.json",
    )
    assert "On all 20 rows of" in text
    assert (tmp_path / "a.html").exists()
    assert (tmp_path / "a.json").exists()


def test_evaluate_refuses_rows_that_do_not_fit(trained):
    assert "inputs of shape (64,), but the run was trained on (13,)" in run(
        "evaluate", trained[0], "--data", "digits", status=1
    )


def test_the_same_seed_gives_the_same_members(trained, tmp_path):
    from manyminima import Snapshots

    run(*SNAPSHOT, "--out", tmp_path / "again")
    run(*SNAPSHOT, "--out", tmp_path / "other", "--seed", "1")
    first, again, other = (list(Snapshots(path)) for path in (trained[0], tmp_path / "again", tmp_path / "other"))
    for one, two in zip(first, again, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0][0], other[0][0])
