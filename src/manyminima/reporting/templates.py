"""The templates of this folder, which know no name that they are not given."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["templates"]


def templates(**options: Any) -> Environment:
    """Return where templates are found and how they are read; `options` as Jinja's `Environment` takes them."""
    return Environment(
        loader=PackageLoader("manyminima.reporting", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
