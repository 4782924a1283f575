"""The command line as tests call it."""

from typer.testing import CliRunner

from manyminima.cli import app


def run(*arguments, status=0, columns="200"):
    """Run a command that has to end with `status`, and return what it printed as one line of words."""
    result = CliRunner(env={"COLUMNS": columns, "TERM": "dumb"}).invoke(app, [str(a) for a in arguments])
    assert result.exit_code == status, result.output + repr(result.exception)
    return " ".join(result.output.replace("│", " ").split())
