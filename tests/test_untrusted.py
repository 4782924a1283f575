"""A run from a stranger: nothing outside it is read, nothing large is made, nothing is executed; each refusal is our own."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest

import manyminima as mm
from runs_of_strangers import MEMBER, rewrite


@pytest.mark.parametrize("name", ["run.json", "index.json", MEMBER, "members", "best.safetensors", "analysis"])
def test_links_are_not_followed(name, run, whole, tmp_path):
    outside = tmp_path / "outside"
    if (run / name).exists():
        (run / name).rename(outside)
    else:
        outside.mkdir()
        (outside / "combination.json").write_text("{}")
    (run / name).symlink_to(outside)
    with pytest.raises(ValueError, match=rf"{name}' is a link, and .* plain .*(cp -rL follows links)"):
        mm.Snapshots(run).best if name == "best.safetensors" else mm.load(run)
    assert mm.load(whole)


def test_a_pipe_does_not_hang(run):
    for name in ("run.json", "index.json", MEMBER):
        (run / name).rename(run / "aside")
        os.mkfifo(run / name)
        with pytest.raises(ValueError, match="is a pipe, and runs are read from plain files only"):
            mm.load(run)
        (run / "aside").replace(run / name)


@pytest.mark.parametrize(
    "file", ["../../secret", "/etc/passwd", "members/../../x.safetensors", "members/", "best.safetensors"]
)
def test_an_index_leads_nowhere_else(run, file):
    index = json.loads((run / "index.json").read_text())
    index["members"][0]["file"] = file
    rewrite(run, "index.json", index)
    with pytest.raises(ValueError, match=r"which no member is called\). Delete it"):
        mm.load(run)


def layer_of(about):
    return about["model"]["config"]["config"]["layers"]


@pytest.mark.parametrize("units", [10**9, 10**12, 2**62])
def test_a_model_larger_than_its_members_takes_no_memory(run, units):
    about = json.loads((run / "run.json").read_text())
    dense = next(layer for layer in layer_of(about) if layer["class_name"] == "Dense")
    dense["config"]["units"] = units
    rewrite(run, "run.json", about)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"run.json': the model that the run describes cannot be built"):
            mm.load(run)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    with keras.StatelessScope():
        pass  # leaving it fills what waits: nothing of the refused model may


PROGRAM = """
import resource, sys
import manyminima as mm
mm.Snapshots("nowhere")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
for path in sys.argv[1:]:
    try:
        print(len(list(mm.Snapshots(path))))
    except (ValueError, FileNotFoundError) as error:
        print("ours:", error)
"""


def declare(run, shape, size):
    """Make a member a file of so many bytes, most of which take no room on disk, with a header of its own."""
    content = (run / MEMBER).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    about = json.loads(content[8 : 8 + length])["__metadata__"]
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * int(np.prod(shape))]}
    text = json.dumps({"__metadata__": about, "0": entry}).encode()
    with (run / MEMBER).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)


def test_declared_sizes_take_no_memory(run, tmp_path):
    """With little memory left: a huge array in a small file, in a huge sparse file, and a header of a huge length."""
    small, sparse, long = (shutil.copytree(run, tmp_path / name) for name in ("small", "sparse", "long"))
    declare(small, [2**38], 1000)
    declare(sparse, [2**38], 2**40)
    about = json.loads((run / "run.json").read_text())
    rewrite(sparse, "run.json", {**about, "variables": [{"path": "", "shape": [2**38], "dtype": "float32"}]})
    (sparse / "index.json").unlink()
    with (long / MEMBER).open("rb+") as file:
        file.write(struct.pack("<Q", 2**40))
        file.truncate(2**41)
    paths = [str(path) for path in (small, sparse, long)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, timeout=60)
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        assert line.startswith("ours:"), done.stdout + done.stderr
        assert f"{path}/{MEMBER}" in line


def test_a_description_of_any_size_is_refused_unread(run):
    os.truncate(run / "index.json", 2**41)
    with pytest.raises(ValueError, match=r"index.json' has 2,199,.* bytes, and 67,108,864 is the most"):
        mm.load(run)


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("keras.layers", "TFSMLayer", {"filepath": "/tmp"}),
        ("keras.layers", "TorchModuleWrapper", {"module": "gASV"}),
        ("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
        ("keras.utils", "get_file", {"fname": "x"}),
        ("keras.saving", "load_model", {"filepath": "x"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
    ],
)
def test_what_reads_files_or_runs_code_is_refused(run, module, name, config):
    about = json.loads((run / "run.json").read_text())
    layer_of(about)[1].update(module=module, class_name=name, config=config, registered_name=None)
    rewrite(run, "run.json", about)
    with pytest.raises(ValueError, match="run.json': the model that the run describes cannot be built"):
        mm.load(run)


def test_no_model_is_no_model(run):
    for config in ({"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}, {}, {"a": 1}):
        about = json.loads((run / "run.json").read_text())
        about["model"]["config"] = config
        rewrite(run, "run.json", about)
        with pytest.raises(
            ValueError, match=r"run.json': the model that the run describes cannot be built: it is a .*no model"
        ):
            mm.load(run)


def test_formats_to_come_ask_for_an_update(run):
    for name in ("run.json", "index.json"):
        before = (run / name).read_bytes()
        rewrite(run, name, {**json.loads(before), "format": 2, "news": True})
        with pytest.raises(
            ValueError, match=rf"{name}' has run format 2; this version reads format 1. Update: pip install"
        ):
            mm.load(run)
        (run / name).write_bytes(before)
