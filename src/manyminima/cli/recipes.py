"""`manyminima recipes`: the methods there are, each with its paper and its options, without Keras."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manyminima.cli.completing import among
from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_json, console_beside, json_option, write_json
from manyminima.recipes import __all__ as NAMES

_NAME = "One of them, in full."
_KEYS = "recipes, a list of name, summary, description, papers, reference, parameters, example"


@plain_errors
def command(
    name: Annotated[str | None, typer.Argument(help=_NAME, autocompletion=among(NAMES))] = None,
    json: Annotated[Path | None, json_option(_KEYS)] = None,
) -> None:
    """List the recipes: what each does, its paper, and its options with their defaults.

    Example: manyminima recipes snapshot
    """
    from manyminima.cli import recipe_docs

    if name is not None and name not in NAMES:
        raise typer.BadParameter(f"no recipe {name!r}. Expected one of {', '.join(NAMES)}.", param_hint="name")
    check_json(json)
    found = [recipe_docs.facts(recipe) for recipe in NAMES if name in (None, recipe)]
    console = console_beside(json)
    console.print(_all(found) if name is None else _one(found[0]), highlight=False)
    more = "manyminima recipes NAME shows one in full." if name is None else f"Example: {found[0]['example']}"
    console.print(more, style="dim" if name is None else None, highlight=False, soft_wrap=True)
    write_json({"recipes": found}, json)


def _all(found: list[dict[str, Any]]):
    """Return a block for each recipe, which fits narrow terminals too."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for one in found:
        options = "  ".join(_shown(parameter) for parameter in one["parameters"])
        lines = [Text(one["summary"]), Text(one["papers"], style="cyan"), Text(options, style="dim")]
        table.add_row(one["name"], Group(*(line for line in lines if line.plain), Text()))
    return table


def _one(recipe: dict[str, Any]):
    """Return all that there is to say about a recipe."""
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("option", no_wrap=True), "default", "", box=None, header_style="bold", pad_edge=False)
    for parameter in recipe["parameters"]:
        default = "needed" if parameter["needed"] else _default(parameter)
        table.add_row(parameter["option"], Text(default), Text(f"{parameter['meaning']}."))
    parts = [Text.assemble((recipe["name"], "bold")), Text(recipe["description"]), Text(), table]
    parts += [Text(), Text(recipe["reference"], style="cyan")] if recipe["reference"] else []
    return Group(*parts, Text())


def _shown(parameter: dict[str, Any]) -> str:
    if parameter["needed"]:
        return f"{parameter['option']} (needed)"
    return f"{parameter['option']}={_default(parameter)}".rstrip("=")


def _default(parameter: dict[str, Any]) -> str:
    value = parameter["default"]
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
