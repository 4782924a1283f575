"""What a shell offers when the Tab key is pressed behind an option that takes a name."""

from collections.abc import Callable, Sequence


def among(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what typer asks for completions; where no name fits, shells offer files.

    >>> among(["snapshot", "swa", "fge"])("s")
    ['snapshot', 'swa']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete
