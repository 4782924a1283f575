"""`manyminima predict`: what a run's ensemble says of new rows, and how sure it is of each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manyminima.cli.errors import plain_errors
from manyminima.cli.output import check_file, check_json, console_beside, json_option, write_json

if TYPE_CHECKING:
    from manyminima.reporting.per_row import Summary

_DATA = "Rows to predict: a table with the columns of the run's own, in any order, or inputs as .npy or .npz. No labels needed."
_OUT = "Where the predictions go, one line for each row: .csv or .jsonl, written as rows come, or .npz."
_UNKNOWN = "What to do with words that the training rows did not have: take them as unknown (other), or stop (error)."
_KEYS = "data, out, members, rows, classes, disputed, ignored, unknown, words, gaps"


@plain_errors
def command(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: Annotated[Path, typer.Option(help=_DATA)],
    out: Annotated[Path, typer.Option(help=_OUT)],
    unknown: Annotated[str, typer.Option(help=_UNKNOWN)] = "other",
    json: Annotated[Path | None, json_option(_KEYS)] = None,
) -> None:
    """Predict new rows with all members of a run.

    For classes each row gets its class, a probability for each class, the entropy of the members' mean (nats), the part of
    that in which the members differ (mutual_information), and the share of members that agree with the class. For a
    regression it gets the prediction and the members' standard deviation. Columns that differ from row to row are repeated.

    Example: manyminima predict runs/churn --data new.csv --out predictions.csv
    """
    if unknown not in ("other", "error"):
        raise typer.BadParameter(f"{unknown!r} is none of other, error.", param_hint="--unknown")
    _check(data, out)
    check_json(json)
    import manyminima as mm
    from manyminima.cli import backend
    from manyminima.datasets.unlabelled import open_new_rows

    contract = mm.Snapshots(run).about["data"]
    rows = open_new_rows(contract, data)
    backend.choose()
    ensemble = mm.load(run)
    summary = _write(ensemble, rows, out, contract if isinstance(contract, dict) else {}, unknown)
    console = console_beside(json)
    for line in _lines(summary, rows.ignored, ensemble, data, out):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    facts = {"data": str(data), "out": str(out), "members": len(ensemble), "ignored": list(rows.ignored)}
    write_json(facts | vars(summary), json)


def _check(data: Path, out: Path) -> None:
    from manyminima.reporting.row_files import check_suffix

    check_suffix(out)
    check_file(out, "--out", "predictions.csv")
    if out.exists() and out.resolve() == data.resolve():
        raise FileExistsError(f"'{out}' holds the rows to predict, and would be overwritten. Choose another --out.")


def _write(ensemble: Any, rows: Any, out: Path, contract: dict[str, Any], unknown: str) -> "Summary":
    from manyminima import combine
    from manyminima.cli.reading import reading
    from manyminima.reporting.per_row import Summary, per_row
    from manyminima.reporting.row_files import writing

    summary = Summary()
    with reading("compiling") as told, writing(out) as add:
        for piece in rows.encoded(unknown):
            probs = ensemble.predict_members(piece.x)
            combined = (ensemble.combination or combine.mean)(probs)
            columns = per_row(probs, combined, ensemble.about["task"], contract.get("classes") or ())
            numbered = {"row": range(summary.rows + 1, summary.rows + len(combined) + 1)}
            add({**numbered, **{k: v for k, v in piece.carried.items() if k not in {"row", *columns}}, **columns})
            summary.add(columns, piece.unknown, piece.gaps)
            told(f"{summary.rows:,} rows", piece.share)
    return summary


def _lines(summary: "Summary", ignored: Any, ensemble: Any, data: Path, out: Path) -> list[str]:
    lines = [f"{_rows(summary.rows)} of {data}, predicted by {len(ensemble)} members."]
    if summary.classes:
        shares = [f"{name}: {n:,} ({n / summary.rows:.1%})" for name, n in summary.classes.most_common(5)]
        lines.append(", ".join(shares) + (", ..." if len(summary.classes) > 5 else ""))
        lines.append(f"The members disagree on {_rows(summary.disputed)} ({summary.disputed / summary.rows:.1%}).")
    for name, cells in summary.unknown.items():
        shown = ", ".join(repr(word) for word in summary.words[name])
        lines.append(f"Column {name!r}: words not known from training in {_rows(cells)}, such as {shown}.")
    for name, cells in summary.gaps.items():
        lines.append(
            f"Column {name!r}: no value in {_rows(cells)}, and none was missing in training: the median stands in."
        )
    if ignored:
        lines.append(f"Not known from training, and not used: {', '.join(map(repr, ignored))}.")
    return [*lines, f"Predictions: {out}"]


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
