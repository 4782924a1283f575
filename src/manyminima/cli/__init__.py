"""The command line: one file per command, each a few calls of the library.

Only typer and rich are imported here, so that `--help` answers at once; a command imports the rest when it runs.
"""

import typer

from manyminima.cli import average, evaluate, plot, predict, recipes, report, show, study, train, verify

__all__ = ["app", "main"]

app = typer.Typer(
    name="manyminima",
    help="Train once, get an ensemble: many models out of one training run, and one better prediction out of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit status: 0 all is well, 1 an error or a damaged run, 2 wrong usage, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (train, evaluate, predict, report, average, study, show, verify, recipes):
    app.command(_command.__name__.rpartition(".")[2])(_command.command)
app.add_typer(plot.app, name="plot")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Say which version this is.", is_eager=True)):
    if version:
        from manyminima import __version__

        typer.echo(f"manyminima {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line on the program's arguments; exits with 0, 1 (an error), 2 (usage) or 130 (Ctrl-C)."""
    app()
