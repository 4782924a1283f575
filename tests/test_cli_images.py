"""Images on the command line: from a folder to a report as the network's paper trained, and what is refused first."""

import json

import pytest

from commands import run
from images_on_disk import folder

pytestmark = pytest.mark.usefixtures("image_cache")


TRAIN = ["train", "--recipe", "snapshot", "--cycles", "2", "--epochs", "2", "--peak", "0.1"]


def test_from_a_folder_to_a_report_as_the_network_s_paper_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "pets", parts=("",), count=20)
    text = run(*TRAIN, "--data", "pets", "--model", "densenet-7-2", "--batch-size", "12", "--label-smoothing", "0.1")
    assert "batch 12, nesterov, weight decay 0.0001, augmented by crop-flip, labels smoothed by 0.1" in text
    assert "The run is in runs/pets-densenet-7-2-snapshot" in text
    about = json.loads((tmp_path / "runs" / "pets-densenet-7-2-snapshot" / "run.json").read_text())
    assert about["data"]["training"]["weight_decay"] == 1e-4
    assert about["data"]["training"]["label_smoothing"] == 0.1
    text = run("evaluate", "runs/pets-densenet-7-2-snapshot")
    assert "On the 8 test rows of" in text


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        (["--model", "wrn-17-4"], 1, "depth 17 does not exist: depths are 6N + 4. The nearest are 16 and 22"),
        (["--model", "cnn", "--augment", "mixup"], 2, "no augmentation 'mixup'. Expected one of none, flip, crop-flip"),
        (["--model", "cnn", "--precision", "half"], 2, "no precision 'half'. Expected one of float32, mixed_bfloat16"),
        (["--model", "mlp", "--data", "wine", "--augment", "flip"], 1, "rows have shape (13,). Expected images"),
        (["--model", "mlp", "--data", "wine", "--cutout", "3"], 1, "rows have shape (13,). Expected images"),
        (["--model", "cnn", "--data", "empty"], 1, "'empty' has no images"),
    ],
)
def test_the_command_line_says_what_to_type(tmp_path, monkeypatch, changes, status, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert message in run(*TRAIN, "--data", "wine", "--out", "x", *changes, status=status)
    assert not (tmp_path / "x").exists()
