"""The page in a browser, on a phone and on a desk: nothing hangs over, nothing goes wrong, nothing is asked of the net."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from cases import ABOUT, members_of
from manyminima.reporting import page
from manyminima.reporting.report import report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")

WIDTHS = (400, 1100)
MEASURE = """
<script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, images = [...page.images];
    return {
      width: page.documentElement.scrollWidth,
      window: frame.contentWindow.innerWidth,
      broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
      images: images.length,
      requests: frame.contentWindow.performance.getEntriesByType("resource").map((one) => one.name)
        .filter((name) => !name.startsWith("data:")),
      text: parseFloat(getComputedStyle(page.querySelector("p")).fontSize),
    };
  });
  document.body.dataset.found = JSON.stringify(found);
});
</script>
"""


def in_browser(content: str, folder):
    """What a browser measures of a page in windows of each width, what its console says, and what it asked the net for."""
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(content)}"></iframe>'
        for width in WIDTHS
    )
    (folder / "measure.html").write_text(f"<!doctype html><body>{MEASURE}{frames}</body>", encoding="utf-8")
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--proxy-server=127.0.0.1:9"),
        *(
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={folder / 'net.json'}",
            "--virtual-time-budget=10000",
        ),
        *("--dump-dom", f"file://{folder / 'measure.html'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = re.search(r'data-found="([^"]*)"', done.stdout)
    assert said, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    asked = re.findall(r'"url":"(https?://[^"]+)"', (folder / "net.json").read_text(encoding="utf-8", errors="replace"))
    return json.loads(html.unescape(said[1])), console, [url for url in asked if "google" not in url]


@pytest.fixture(scope="module")
def content():
    y, probs = members_of(0)
    history = [{"epoch": n, "logs": {"loss": 1 / n, "accuracy": 1 - 1 / n}} for n in range(1, 13)]
    members = [{"step": 100 * n, "epoch": float(n), "logs": {}} for n in range(1, 5)]
    long = "a-class-with-a-very-long-name-of-one-word-" * 3
    data = {"source": "x", "classes": [long, "b", "c", "d"], "path": "/a/very/long/path" * 12}
    run = ABOUT | {"members": members, "history": history, "data": data, "collect": [100, 200, 300, 400]}
    x = np.random.default_rng(0).uniform(size=(len(y), 8, 8))
    return page.whole(report(y, probs, validation=members_of(1), run=run, x=x))


def test_in_a_browser(content, tmp_path):
    found, console, asked = in_browser(content, tmp_path)
    assert console == []
    assert asked == []
    assert [one["window"] for one in found] == list(WIDTHS)
    for one in found:
        assert one["width"] <= one["window"]
        assert one["broken"] == 0
        assert one["images"] == content.count("<img")
        assert one["requests"] == []
        assert one["text"] >= 14


def test_what_would_go_wrong_is_seen(content, tmp_path):
    """The page's own policy keeps what is put into it from being loaded, and the browser says so."""
    wide = '<div style="width:3000px">x</div><script>alert(1)</script><img src="http://192.0.2.1/x.png" alt="not to be had">'
    found, console, _ = in_browser(content.replace("</main>", f"{wide}</main>"), tmp_path)
    assert min(one["width"] for one in found) >= 3000
    assert max(one["broken"] for one in found) == 1
    assert len(console) >= 4
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", content)
    asked = in_browser(free.replace("</main>", f"{wide.replace('<script>alert(1)</script>', '')}</main>"), tmp_path)[2]
    assert "http://192.0.2.1/x.png" in asked
