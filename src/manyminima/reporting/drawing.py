"""Pictures inside a page: in ink that follows the reader's light or dark theme, with words for who cannot see them."""

import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

__all__ = ["COLUMN", "INK", "Numbers", "Picture", "svg"]

INK = "#24292f"
COLUMN = (5.2, 3.3)  # inches: as wide as a phone and as one of the page's two columns, so that text has one size
_STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "manyminima",
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **{f"axes.{part}color": INK for part in ("edge", "label", "title")},
}
_THEME = (
    "<style>svg{color:#24292f}text{font-family:system-ui,sans-serif!important}"
    "@media(prefers-color-scheme:dark){svg{color:#d5dae0}}</style>"
)


@dataclass(frozen=True)
class Numbers:
    """The numbers behind a picture: a table whose first column names rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        source: Its `src`.
        alt: What it shows, in words.
        caption: What it is.
        numbers: Those behind it.
        inches: How wide it was drawn: shown in proportion, all pictures have text of one size.
    """

    source: str
    alt: str
    caption: str
    numbers: Numbers | None = None
    inches: float = COLUMN[0]


def svg(draw: Callable[[], Any], size: tuple[float, float] | None = None) -> str:
    """The drawing as a data URI.

    Args:
        draw: Returns Axes, or a Figure.
        size: Width and height in inches; None leaves what was drawn.
    """
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # The reader's fonts show the text, whatever glyphs Matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        file, figure = StringIO(), draw().figure
        if size is not None:
            figure.set_size_inches(*size)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace("<defs>", f"{_THEME}<defs>", 1)
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
