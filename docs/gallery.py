"""Draw the gallery's figures anew: each example runs in an empty folder, and what it draws is kept, with fewer colours.

python docs/gallery.py                  # all of them
python docs/gallery.py regression       # or some
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "images" / "gallery"
# The example, and the picture that it writes to runs/.
FIGURES = {
    "blobs_scatter": "blobs_scatter",
    "fashion_mnist": "fashion_mnist",
    "learning_curves": "learning_curves",
    "mlp_snapshot_ensemble": "mlp_snapshot_ensemble",
    "polyak_averages": "polyak_averages",
    "regression": "regression",
    "schedule_plot": "schedule_plot",
    "segmentation": "segmentation",
    "weight_averaging": "averages",
}
COLOURS = 64


def draw(example: str, picture: str) -> None:
    """Run one example, and keep its picture under its own name."""
    with tempfile.TemporaryDirectory() as folder:
        program = ROOT / "examples" / f"{example}.py"
        subprocess.run(
            [sys.executable, str(program)], cwd=folder, env={**os.environ, "KERAS_BACKEND": "jax"}, check=True
        )
        drawn = Image.open(Path(folder) / "runs" / f"{picture}.png").convert("RGB")
        drawn.thumbnail((1000, 1000))
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(GALLERY / f"{example}.png", optimize=True)


if __name__ == "__main__":
    GALLERY.mkdir(parents=True, exist_ok=True)
    for example in sys.argv[1:] or FIGURES:
        draw(example, FIGURES[example])
