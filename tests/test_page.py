"""The page: what is on it, in which order, and that it is whole by itself and told to everybody."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import r2_score

from cases import ABOUT, members_of, noisy
from manyminima.combination import Combination
from manyminima.reporting import page
from manyminima.reporting.confusion import MOST
from manyminima.reporting.curves import learning_curves
from manyminima.reporting.report import report
from manyminima.reporting.thumbnails import png
from page_checks import problems, problems_of_page, read

HISTORY = [
    {"epoch": n, "logs": {"loss": 1 / n, "val_loss": 1.2 / n, "accuracy": 1 - 1 / n, "learning_rate": 0.1}}
    for n in range(1, 13)
]
TRAINED = {**ABOUT, "history": HISTORY, "optimizer": {"class": "SGD", "name": "sgd", "momentum": 0.9, "use_ema": False}}
TASKS = ("multiclass", "binary", "multilabel", "dense", "regression")


def about(members: int) -> dict:
    found = [{"step": 50 * n, "epoch": float(n), "replica": 0, "logs": {"loss": 1 / n}} for n in range(1, members + 1)]
    return {**TRAINED, "members": found, "collect": [member["step"] for member in found]}


def everything(task="multiclass", *, combined=True):
    y, probs, validation = *members_of(0, task=task), members_of(1, task=task)
    fitted = Combination.fit(*validation, "fitted", "none" if task == "regression" else "temperature")
    x = np.random.default_rng(0).uniform(size=(len(y), 8, 8, 3)) if task in ("multiclass", "binary") else None
    more = {"combination": fitted} if combined else {}
    return report(y, probs, validation=validation, x=x, run=about(len(probs)) | {"task": None}, **more)


@pytest.fixture(scope="module")
def pages():
    return {task: page.whole(everything(task)) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_pages_are_whole_and_told_in_words(pages, task):
    assert problems_of_page(pages[task]) == []


@pytest.mark.parametrize("members", [1, 2, 30])
def test_pages_of_arrays_alone_and_of_few_and_many_members(members):
    y = np.random.default_rng(0).integers(3, size=60)
    found = report(y, noisy(y, np.linspace(1, 3, members)))
    html = page.whole(found)
    assert problems_of_page(html) == []
    assert "How to run it again" not in html


def test_a_broken_page_is_noticed():
    for wrong in (
        '<img src="a.png" alt="a picture of a cat">',
        "<p>a</b>",
        "<th>a</th>",
        '<p id="a"></p><p id="a"></p>',
    ):
        assert problems(wrong)
    assert problems('<style>a { background: url("https://x.org/a.png") }</style>')
    assert problems_of_page("<h1>a</h1><h3>b</h3>")


def test_the_order_of_the_page(pages):
    titles = re.findall(r"<h2>(.*?)</h2>", pages["multiclass"])
    expected = [
        "What to ship",
        "What was run",
        "How it was trained",
        "Each member beside the ensemble",
        "What combining is worth",
        "How much the members differ",
        "How far to trust it",
        "What it takes for what",
        "The examples it is least sure of",
        "How to run it again",
        "Versions",
    ]
    assert [title for title in titles if title in expected] == expected
    assert pages["multiclass"].index("<h1>") < pages["multiclass"].index("<h2>")


def test_regression_has_what_it_can_have(pages):
    text = read(pages["regression"]).text
    assert "errors are" in text
    for title in ("How far to trust it", "What it takes for what", "least sure"):
        assert title not in text


def test_every_picture_but_of_inputs_and_of_many_points_has_its_numbers(pages):
    for figure in re.findall(r"<figure.*?</figure>", pages["multiclass"], re.DOTALL):
        assert ("<details>" in figure) != ("image/png" in figure)


def test_names_are_text_and_never_markup():
    run = about(4) | {
        "data": {"classes": ["<b>", "&amp;", '"', "'"]},
        "path": "runs/<script>alert(1)</script>",
        "task": None,
    }
    html = page.whole(report(*members_of(0), run=run))
    assert problems_of_page(html) == []
    assert "<b>" in read(html).text


def test_the_page_is_small(pages):
    assert max(len(html) for html in pages.values()) < 600_000
    y, probs = members_of(0)
    photos = np.random.default_rng(0).integers(0, 255, size=(len(y), 400, 300, 3))
    assert len(page.whole(report(y, probs, x=photos))) < 2_000_000


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, 0..1."""
    digits = colour if len(colour) == 6 else "".join(2 * one for one in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_text_stands_out_in_light_and_in_dark(pages):
    themes = [dict(re.findall(r"--(\w+): #(\w+);", part)) for part in pages["binary"].split("@media")[:3]]
    themes = [theme for theme in themes if "ink" in theme]
    assert len(themes) == 2
    for theme in themes:
        for ink in ("ink", "soft", "link"):
            for paper in ("paper", "tint"):
                dark, light = sorted(luminance(theme[name]) for name in (ink, paper))
                assert (light + 0.05) / (dark + 0.05) >= 4.5


# --- learning curves


def test_curves_are_those_of_all_epochs_if_they_are_known():
    loss, accuracy = learning_curves(TRAINED)
    assert (loss.metric, loss.unit, loss.at, loss.every_epoch) == ("loss", "epoch", tuple(range(1, 13)), True)
    assert loss.values == {
        "training": tuple(1 / n for n in range(1, 13)),
        "validation": tuple(1.2 / n for n in range(1, 13)),
    }
    assert (accuracy.metric, list(accuracy.values)) == ("accuracy", ["training"])
    assert loss.collected == (4, 8, 12)


def test_curves_are_else_those_of_the_members():
    members = [
        {"step": s, "epoch": None, "logs": {"loss": v, "val_loss": None}} for s, v in ((10, 1), (20, "nan"), (30, 2))
    ]
    (loss,) = learning_curves({"members": members, "history": HISTORY})
    assert (loss.unit, loss.at, loss.every_epoch) == ("step", (10, 20, 30), False)
    np.testing.assert_array_equal(loss.values["training"], [1, np.nan, 2])
    assert list(loss.values) == ["training"]


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"members": [{"step": 1, "logs": {"loss": 1}}]},
        {"members": [{"step": s, "replica": r, "logs": {"loss": 1}} for s in (1, 2) for r in (0, 1)]},
        {"members": [{"step": s, "logs": {"loss": "good"}} for s in (1, 2)]},
        {"members": [{"step": s} for s in (1, 2)]},
    ],
)
def test_no_curves_where_too_little_is_known(known):
    assert learning_curves(known) == []


# --- reliability and confusion


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "dense"])
def test_reliability_is_that_of_what_is_used(task):
    found = everything(task)
    before, after = found.reliability
    np.testing.assert_allclose(before.ece, found.ensemble["ece"])
    np.testing.assert_allclose(after.ece, found.mixed.calibrated["ece"])
    assert after.name == found.mixed.label


def test_without_a_combination_the_temperature_of_the_validation_rows_is_shown():
    found = everything(combined=False)
    way = next(way for way in found.ways.ways if way.name == "mean of all")
    after = found.reliability[1]
    np.testing.assert_allclose(after.ece, way.calibrated["ece"])
    assert after.name == f"mean behind temperature {way.temperature:.3g}".ljust(len(after.name), "0")
    assert len(report(*members_of(0)).reliability) == 1
    assert everything("regression").reliability == ()


def test_an_empty_combination_is_the_mean_alone():
    y, probs = members_of(0)
    found = report(y, probs, combination=Combination())
    assert [one.name for one in found.reliability] == ["mean of the members"]


def test_confusion_counts_labels_and_predictions():
    y = np.array([0, 0, 0, 1, 1, 2])
    probs = np.eye(3)[[0, 1, 1, 1, 1, 0]][None]
    found = report(y, probs, run={"data": {"classes": ["a", "b", "c"]}}).confusion
    assert found.classes == ("a", "b", "c")
    assert found.counts == ((1, 2, 0), (0, 2, 0), (1, 0, 0))
    assert [(p.label, p.predicted, p.count, p.share) for p in found.pairs] == [("a", "b", 2, 2 / 3), ("c", "a", 1, 1)]
    weighted = report(y, probs, sample_weight=[1, 2, 0, 1, 1, 0.5]).confusion
    assert weighted.counts == ((1, 2, 0), (0, 2, 0), (0.5, 0, 0))


def test_many_classes_are_a_table_of_pairs():
    y = np.arange(3 * (MOST + 1)) % (MOST + 1)
    found = report(y, noisy(y, [2.0, 2.0], classes=MOST + 1))
    assert found.confusion.classes == found.confusion.counts == ()
    assert 0 < len(found.confusion.pairs) <= 15
    html = page.whole(found)
    assert "What it confuses most often" in html
    assert "What it takes for what" not in html
    assert problems_of_page(html) == []


def test_predicted_numbers_are_set_against_labels():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=1000), rng.uniform(size=1000)
    outputs = y[:, None] + rng.normal(size=(3, 1000, 1))
    found = report(y, outputs, sample_weight=weight).against
    assert (len(found.label), found.label[0], found.label[-1], found.rows) == (300, y[0], y[-1], 1000)
    np.testing.assert_allclose(found.explained, r2_score(y, outputs.mean(axis=0)[:, 0], sample_weight=weight))
    np.testing.assert_allclose(found.bias, np.average(outputs.mean(axis=0)[:, 0] - y, weights=weight))
    html = page.whole(report(y, outputs))
    assert problems_of_page(html) == []
    assert "300 of 1,000 rows are shown" in html
    assert report(np.ones(4), np.full((1, 4, 1), 0.5), task="regression").against.explained is None
    assert report(*members_of(0, task="regression")).against is None
    assert report(*members_of(0)).against is None


def test_correlation_of_regression_is_that_of_errors():
    y, outputs = members_of(0, task="regression")
    found = report(y, outputs)
    np.testing.assert_allclose(found.correlation, np.corrcoef((outputs - y).reshape(4, -1)))
    assert report(y, np.stack([y, outputs[0]])).correlation == ()
    assert report(y, outputs[:1]).correlation == ()


# --- thumbnails


@pytest.mark.parametrize(
    ("shape", "size"),
    [((8, 8), (128, 128)), ((28, 14, 1), (56, 112)), ((300, 200, 3), (85, 128)), ((9, 9, 4), (126, 126))],
)
def test_thumbnails(shape, size):
    picture = np.random.default_rng(0).normal(size=shape)
    picture[0, 0] = np.nan
    image = Image.open(BytesIO(base64.b64decode(png(picture).partition("base64,")[2])))
    assert image.size == size
    assert image.mode == ("L" if len(shape) == 2 or shape[-1] == 1 else "RGB")


def test_thumbnails_are_scaled_by_their_own_range():
    assert png(np.array([[1.0, 2.0], [3.0, 4.0]])) == png(np.array([[0, 85], [170, 255]]))
    assert png(np.full((4, 4), 7.0)) == png(np.zeros((4, 4)))
