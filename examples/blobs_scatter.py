"""The tutorials' problem: three clouds of points in the plane that overlap, 100 to learn from and 1,000 to be judged on.

python examples/blobs_scatter.py        # runs/blobs_scatter.png
"""

from pathlib import Path

from matplotlib.figure import Figure

import manyminima as mm

data = mm.datasets.load("blobs")
figure = Figure(figsize=(10, 4.4), layout="constrained")
parts = {"100 training rows": (data.x_train, data.y_train), "1,000 test rows": (data.x_test, data.y_test)}
for ax, (title, (x, y)) in zip(figure.subplots(1, 2, sharex=True, sharey=True), parts.items(), strict=True):
    for number in range(3):
        ax.scatter(*x[y == number].T, s=14, alpha=0.7, label=f"class {number}")
    ax.set_title(title, loc="left")
    ax.set(xlabel="first input", ylabel="second input")
    ax.label_outer()
ax.legend(loc="lower right")

Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/blobs_scatter.png", dpi=110)
print("runs/blobs_scatter.png is written")
