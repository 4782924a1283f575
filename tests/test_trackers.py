"""Members, rates and scores reach trackers, by the very lines of the page about them; no server, no network."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "trackers.md").read_text()
(BEGINNING,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
STEPS = [27, 54, 81]  # of the ends of three cycles; 9 batches in an epoch


def lines_of(heading, number=0):
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```py\n(.*?)```", section, re.DOTALL)[number]


@pytest.fixture(scope="module")
def beginning():
    """What the page's first block defines; each tracker trains the same model on from where the last one left it."""
    names = {"__name__": "__main__"}
    exec(BEGINNING, names)
    return names


def run(code, beginning, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = dict(beginning)
    exec(code, names)
    return names["model"].history


def scalars(folder):
    """Read event files: name -> step -> number. A record is a length, its checksum, an event, and its checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="tensorboardX reads the files back")
    found = {}
    for file in sorted(Path(folder).rglob("events.out.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(f"{file.parent.name}/{value.tag}", {})[event.step] = number(value)
            content = content[16 + length :]
    return found


def number(value):
    if not value.HasField("tensor"):
        return value.simple_value
    content = value.tensor.tensor_content
    return float(np.frombuffer(content, "<f4")[0]) if len(content) == 4 else next(iter(value.tensor.float_val), np.nan)


def test_event_files(beginning, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    history = run(lines_of("TensorBoard", 1), beginning, tmp_path, monkeypatch)
    written = scalars(tmp_path / "logs")
    for name in ("loss", "val_accuracy", "learning_rate"):
        np.testing.assert_allclose(list(written[f"logs/{name}"].values()), history.history[name], rtol=1e-6)
    assert list(written["logs/member_val_loss"]) == [member.step for member in history.members] == STEPS
    np.testing.assert_allclose(
        list(written["logs/member_val_loss"].values()), [m.logs["val_loss"] for m in history.members], rtol=1e-6
    )


def test_keras_own_tensorboard(beginning, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="it writes with TensorFlow")
    pytest.importorskip("tensorboard", reason="it writes with TensorFlow, which needs tensorboard for that")
    history = run(lines_of("TensorBoard", 0), beginning, tmp_path, monkeypatch)
    written = scalars(tmp_path / "logs")
    np.testing.assert_allclose(list(written["train/epoch_loss"].values()), history.history["loss"], rtol=1e-5)
    own = list(written["train/epoch_learning_rate"].values())
    for low in (2, 5):  # the ends of two cycles: ours is the rate that the member was taken at, theirs the next batch's
        assert history.history["learning_rate"][low] < 0.001
        assert own[low] == pytest.approx(0.1)


@pytest.mark.filterwarnings("ignore")  # of MLflow's own
def test_mlflow(beginning, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")  # the page sets it, and this puts it back
    history = run(lines_of("MLflow"), beginning, tmp_path, monkeypatch)
    client = mlflow.MlflowClient(f"file:{tmp_path / 'mlruns'}")
    (tracked,) = client.search_runs(["0"])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["peak"] == "0.1"
    for name in ("loss", "val_accuracy", "learning_rate"):
        written = sorted(client.get_metric_history(tracked.info.run_id, name), key=lambda metric: metric.step)
        np.testing.assert_allclose([metric.value for metric in written], history.history[name], rtol=1e-6)
    members = client.get_metric_history(tracked.info.run_id, "member_val_loss")
    assert sorted(metric.step for metric in members) == STEPS
    files = {Path(file.path).name for file in client.list_artifacts(tracked.info.run_id, "run/members")}
    assert files == {f"r000-s{step:08}.safetensors" for step in STEPS}


@pytest.mark.filterwarnings("ignore")  # of W&B's own
def test_weights_and_biases(beginning, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    pytest.importorskip("wandb", reason="W&B is not installed")
    run(lines_of("Weights & Biases"), beginning, tmp_path, monkeypatch)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
