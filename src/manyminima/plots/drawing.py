"""What all pictures share: a figure of their own where none is given, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

BLUE, ORANGE, GREEN, GREY = "#3f7fc4", "#d07a28", "#3f9c6b", "#8a929b"


def prepared(ax: Axes | None, title: str, xlabel: str, ylabel: str, width: float = 7.0, height: float = 3.4) -> Axes:
    """Return the Axes to draw on, new ones if None, with title, labels and a light grid; sizes in inches."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(width, height), layout="constrained").subplots()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def ink_on(colour: Any) -> str:
    """Black or white, whichever stands out from a colour of (red, green, blue, ...) 0..1: by at least 4.5 to 1 (WCAG)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return "black" if 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] > 0.179 else "white"


def whole_numbers(axis: Axis) -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))
