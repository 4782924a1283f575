"""The options of all recipes, read off their dataclasses: a new recipe brings its options along."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from manyminima import recipes
from manyminima.cli.recipe_docs import fields, flag, meaning


def with_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add every recipe's options to a command that takes them as `**recipe_options`; None where not given."""
    from manyminima.cli.errors import with_options

    @functools.wraps(command)
    def run(**options):
        command(**options)

    return with_options(run, command, [_parameter(name, takers) for name, takers in _takers().items()])


def make_recipe(name: str, options: dict[str, Any]):
    """Make the recipe from the options that were given.

    Raises:
        typer.BadParameter: no such recipe, an option that it does not take, or one missing that it needs.
    """
    if name not in recipes.__all__:
        raise typer.BadParameter(
            f"no recipe {name!r}. Expected one of {', '.join(recipes.__all__)}.", param_hint="--recipe"
        )
    own = fields(name)
    given = {option: value for option, value in options.items() if value is not None}
    if foreign := [flag(option) for option in given if option not in own]:
        raise typer.BadParameter(
            f"the recipe {name} does not take {' or '.join(foreign)}. It takes {', '.join(map(flag, own))}.",
            param_hint="--recipe",
        )
    needed = [flag(f.name) for f in own.values() if f.default is dataclasses.MISSING and f.name not in given]
    if needed:
        raise typer.BadParameter(
            f"the recipe {name} needs {' and '.join(needed)}, for example {needed[0]} 5.", param_hint="--recipe"
        )
    return getattr(recipes, name)(**given)


def names() -> list[str]:
    """Return the options of all recipes, as the parameters of `with_recipe_options` are called."""
    return list(_takers())


def _takers() -> dict[str, list[str]]:
    """Which recipes take each option; options of many recipes come first."""
    takers: dict[str, list[str]] = {}
    for recipe in recipes.__all__:
        for option in fields(recipe):
            takers.setdefault(option, []).append(recipe)
    return dict(sorted(takers.items(), key=lambda item: -len(item[1])))


def _parameter(name: str, takers: list[str]) -> inspect.Parameter:
    annotation = fields(takers[0])[name].type
    plain = next((t for t in (*get_args(annotation), annotation) if t in (int, float)), str)
    text = _described(takers, name)
    option = typer.Option(flag(name), help=text, show_default=False, rich_help_panel="Options of the recipe")
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[plain | None, option])


def _described(takers: list[str], name: str) -> str:
    """What the `Args` of each recipe say about an option; recipes that say the same are named together."""
    sayings: dict[str, list[str]] = {}
    for recipe in takers:
        sayings.setdefault(meaning(recipe, name), []).append(recipe)
    return " ".join(f"[dim]{', '.join(who)}:[/dim] {saying}." for saying, who in sayings.items())
