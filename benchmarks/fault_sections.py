"""The sections of the page that tell what a run survives."""

from measuring import load, where

__all__ = ["faults", "soak"]

_COLUMNS = {
    "times": "injected",
    "noticed": "noticed",
    "crashed": "process crashed",
    "harmless": "nothing changed",
    "loaded": "loads afterwards",
    "complete members": "members complete before",
    "lost": "members lost",
    "half files": "half files under a final name",
    "wrong": "wrong bytes accepted",
}


def faults() -> list[str]:
    lines = [
        "## Faults (`faults.py`)",
        "",
        "Injected at random moments and places, at `manyminima` and at what Keras's own callbacks leave. What is killed does",
        "nothing but write, 0.2 MB a time, so that half of the kills or more fall into a write; `fit` writes more seldom. A run",
        "loads afterwards once what the message says is done, such as moving a damaged member out; of Keras's, if",
        "`BackupAndRestore` restores. Lost are members that were complete; wrong is what is read without an error and is not",
        "what was written: for `BackupAndRestore` also the weights of another epoch than it says. An empty cell does not apply.",
        "",
        f"| fault | at | {' | '.join(_COLUMNS.values())} |",
        f"|---|---|{'---|' * len(_COLUMNS)}",
    ]
    for result in load("faults"):
        for row in result["results"].values():
            cells = [_cell(row, name) for name in _COLUMNS]
            lines.append(f"| {row['fault']} | {row['who']} | {' | '.join(cells)} |")
    return [*lines, "", *(f"- {where(result)}" for result in load("faults")), ""]


def _cell(row: dict, name: str) -> str:
    """A count as text; one that never went up is 0 where it applies."""
    full, file = row["fault"] == "disk full", row["who"].startswith("Keras: .")
    killed = "SIGKILL" in row["fault"] or "gone on" in row["fault"]
    empty = {
        "noticed": killed,
        "crashed": not full,
        "harmless": killed or full,
        "loaded": file,
        "complete members": not (killed or full),
        "lost": file,
        "half files": not (killed or full),
    }
    return "" if empty.get(name) else f"{row.get(name, 0):,}"


def soak() -> list[str]:
    results = load("soak")
    lines = ["## A long training, killed again and again (`soak.py`)", ""] if results else []
    for result in results:
        first, last = result["resident MB"]
        fewest, most = result["open files"]
        lines += [
            f"{result['cycles']:,} cycles of a tiny model, killed {result['kills']} times at a random moment and started again:",
            f"{result['members']:,} members, {result['lost or changed']} lost or changed, {result['problems']} problems found by",
            f"`manyminima verify`. The longest process ran {result['cycles of the longest process']:,} cycles: resident memory",
            f"went from {first:.0f} to {last:.0f} MB, {result['bytes per cycle']:+,.0f} bytes per cycle in its later half; open",
            f"files {fewest} to {most}.",
            "",
            f"- {where(result)}",
            "",
        ]
    return lines
