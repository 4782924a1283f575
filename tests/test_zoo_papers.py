"""Networks of papers: their numbers of parameters, their names, and a run of one."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima import datasets, zoo
from manyminima.zoo.papers import dense_blocks, paper_of, residual_blocks


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def wide(depth, width, classes=10):
    """Trainable weights of WRN-depth-width, counted from the paper's table 1."""
    count, before = 27 * 16, 16
    for channels in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            count += 2 * before + 9 * before * channels + 2 * channels + 9 * channels**2
            count += before * channels if before != channels else 0
            before = channels
    return count + 2 * before + (before + 1) * classes


def densely(depth, growth, *, bc=False, classes=10):
    """Trainable weights of DenseNet or DenseNet-BC for CIFAR, counted from the paper's section 3."""
    channels = 2 * growth if bc else 16
    count = 27 * channels
    for block in range(3):
        if block:
            kept = channels // 2 if bc else channels
            count, channels = count + 2 * channels + channels * kept, kept
        for _ in range((depth - 4) // (6 if bc else 3)):
            layer = 4 * growth * channels + 8 * growth + 36 * growth**2 if bc else 9 * growth * channels
            count, channels = count + 2 * channels + layer, channels + growth
    return count + 2 * channels + (channels + 1) * classes


# Millions as printed: Zagoruyko & Komodakis 2016, tables 2 to 4; Huang et al. 2017, table 2.
@pytest.mark.parametrize(
    ("count", "millions"),
    [
        *[(wide(40, 1), 0.6), (wide(40, 2), 2.2), (wide(40, 4), 8.9), (wide(40, 8), 35.7), (wide(28, 10), 36.5)],
        *[(wide(28, 12), 52.5), (wide(22, 8), 17.2), (wide(22, 10), 26.8), (wide(16, 8), 11.0), (wide(16, 10), 17.1)],
        *[(densely(40, 12), 1.0), (densely(100, 12), 7.0), (densely(100, 24), 27.2), (densely(100, 12, bc=True), 0.8)],
        *[(densely(250, 24, bc=True), 15.3), (densely(190, 40, bc=True), 25.6)],
    ],
)
def test_the_reference_counts_are_those_that_the_papers_print(count, millions):
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: zoo.wide_resnet(16, 4), 2_748_890),
        (lambda: zoo.wide_resnet(28, 10), 36_479_194),
        (lambda: zoo.wide_resnet(10, 1, 100), wide(10, 1, 100)),
        (lambda: zoo.wide_resnet(22, 2, dropout=0.3), wide(22, 2)),
        (lambda: zoo.densenet(40, 12), 1_019_722),
        (lambda: zoo.densenet(100, 12, bottleneck=True, compression=0.5), 769_162),
        (lambda: zoo.densenet(10, 4, 7), densely(10, 4, classes=7)),
    ],
)
@pytest.mark.usefixtures("blank")
def test_published_sizes(make, count):
    assert trainable(make()) == count


@pytest.mark.usefixtures("blank")
def test_names_are_read_as_written():
    assert zoo.wide_resnet(10, 1).name == "wrn-10-1"
    assert paper_of("wrn-28-10:dropout=0.3").options == {"depth": 28, "width": 10, "dropout": 0.3}
    assert paper_of("densenet-40-12").options == {"depth": 40, "growth": 12}
    assert paper_of("densenet-bc-100-12").options["bottleneck"]
    assert paper_of("wrn-16-4").training.weight_decay == 5e-4
    assert paper_of("densenet-40-12").training.batch_size == 64
    for other in ("cnn", "wrn", "wrn-16", "densenet-bc", "wrn-16-4.keras", "nets.py:wrn-16-4"):
        assert paper_of(other) is None


@given(st.integers(-5, 300), st.sampled_from(["wrn", "dense", "bc"]))
def test_depths_fit_or_name_neighbours_that_do(depth, kind):
    def blocks(depth):
        return residual_blocks(depth) if kind == "wrn" else dense_blocks(depth, bottleneck=kind == "bc")

    each = 3 if kind == "dense" else 6
    if depth > 4 and (depth - 4) % each == 0:
        assert blocks(depth) == (depth - 4) // each
        return
    with pytest.raises(ValueError, match=rf"of depth {depth} does not exist: depths are {each}N \+ 4") as caught:
        blocks(depth)
    text = str(caught.value)
    below, above = (int(word) for word in text.split("nearest are ")[1].split(":")[0].split(",")[0].split(" and "))
    assert above - below == each
    assert blocks(below) * each + 4 == below
    assert depth < 10 or below < depth < above
    assert f"write depth={below}" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zoo.wide_resnet(17, 4), r"depth 17 .*nearest are 16 and 22: write depth=16, or --model wrn-16-4"),
        (lambda: zoo.densenet(41, 12), r"depth 41 .*nearest are 40 and 43: write depth=40, or --model densenet-40-12"),
        (lambda: zoo.densenet(99, 12, bottleneck=True), r"bottlenecks of depth 99 .*94 and 100.*densenet-bc-94-12"),
        (lambda: zoo.wide_resnet(4, 4), r"depth 4 .*10 and 16, the smallest ones"),
        (lambda: zoo.wide_resnet(16, 0), r"got width 0 and dropout 0\.0.*write wide_resnet\(16, 4, dropout=0\.3\)"),
        (lambda: zoo.wide_resnet(16, 1, dropout=1.0), r"dropout 1\.0.*below 1"),
        (lambda: zoo.densenet(10, 0), r"growth 0 .*write densenet\(10, 12, compression=0\.5\)"),
        (lambda: zoo.densenet(10, 4, compression=0.0), r"compression 0\.0\. Expected .*above 0"),
        (lambda: zoo.wide_resnet(10, 1, 1), r"got 1 classes\. Expected at least 2: write classes=10"),
        (lambda: zoo.wide_resnet(10, 1, adapt_to=np.ones((4, 7))), r"shape \(7,\).*for rows of numbers mlp"),
        (lambda: zoo.densenet(10, 4, adapt_to=np.ones((4, 3, 32, 32))), r"\(3, 32, 32\).*numpy\.moveaxis\(x, 1, -1\)"),
        (lambda: paper_of("wrn-16-4:dropout=1.2.3"), r"dropout that is no number\. Write it like wrn-28-10:dropout"),
    ],
)
def test_what_there_is_not(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- a run ---------------------------------------------------------------------------------------------------------------


def test_a_run_of_a_paper_s_network_gives_members_and_its_model(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3), np.uint8)
    y = np.arange(48) % 3
    np.savez(tmp_path / "images.npz", x=x, y=y)
    data = datasets.load(tmp_path / "images.npz")
    keras.utils.set_random_seed(0)
    model = zoo.build("wrn-10-1", data)
    zoo.add_weight_decay(model, 5e-4)
    model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")
    batches = datasets.Batches(data.x_train, data.y_train, 16).through(*datasets.augmentation.named("crop-flip", x))
    collect = mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1), into=tmp_path / "run")
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[collect])
    ensemble = mm.load(tmp_path / "run")
    np.testing.assert_allclose(
        ensemble.predict_members(data.x_test)[-1], model.predict(data.x_test, verbose=0), atol=1e-5
    )
    assert ensemble.model.losses  # the decay is on record
    np.savez(tmp_path / "numbers.npz", x=x, y=y / 3)
    numbers = datasets.load(tmp_path / "numbers.npz", task="regression")
    with pytest.raises(ValueError, match=r"tells classes apart, but the task is regression\. Use cnn"):
        zoo.build("wrn-10-1", numbers)
