"""What a person sees when something goes wrong: one message, not a traceback."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from manyminima.cli import interrupting

_SHOWN = (ValueError, TypeError, OSError, ImportError, FloatingPointError)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--debug`; without it, errors become a message and status 1, and Ctrl-C one line and 130."""

    @functools.wraps(command)
    def run(*, debug: bool = False, **options):
        try:
            with interrupting.remembered():
                command(**options)
        except KeyboardInterrupt:
            _say("Interrupted. What was written before is complete.", style="yellow")
            raise typer.Exit(130) from None
        except _SHOWN as error:
            if debug:
                raise
            _say(f"Error: {error}", style="red")
            raise typer.Exit(1) from None

    return with_options(run, command, [_option("debug", Debug, False)])


def with_options(wrapper: Callable, command: Callable, extra: list[inspect.Parameter]) -> Callable:
    """Make a wrapper show the options of a command, without its `**options`, and extra ones after them."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    wrapper.__signature__ = signature.replace(parameters=[*own, *extra])  # pyright: ignore[reportFunctionMemberAccess]
    return wrapper


def _option(name: str, annotation, default) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _say(message: str, style: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    console.print(Text(message, style=style), soft_wrap=not console.is_terminal)  # in a file: one line
