"""The two files that a comparison ends in: what was chosen on validation rows, and what that is worth on the test rows."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import environment, interval

from manyminima import deep_ensemble_equivalent
from manyminima.calibrated import calibrated_nll
from manyminima.equivalent import reference_curve
from quality import peers
from quality.ideas import CLOSE, EMA, IDEAS, SINGLE, Option
from quality.problem import CACHE, EMA_NETS, EPOCHS, FINAL, NETS, NETS_TUNED, SEARCH, data, rows
from quality.scoring import combined, on_validation, scores
from quality.trails import forget, missing

__all__ = ["AGAIN", "FROZEN", "SCORED", "freeze", "frozen", "score", "score_again", "within"]

RESULTS = Path(__file__).parents[1] / "results"
FROZEN, SCORED = RESULTS / "quality_frozen.json", RESULTS / "quality.json"
AGAIN = RESULTS / "quality_again.json"


def frozen() -> dict[str, Any]:
    """What has been chosen."""
    if not FROZEN.exists():
        raise FileNotFoundError(
            f"'{FROZEN}' does not exist: nothing has been chosen yet, and the test rows wait for that. Run "
            f"python -m quality search, then python -m quality freeze."
        )
    found = json.loads(FROZEN.read_text())
    if found["references"] is None:
        raise ValueError(
            f"'{FROZEN}' compares part of the ideas: {len(found['left_out'])} have not been trained yet, and the test rows wait "
            f"for the whole choice. Run python -m quality search, then python -m quality freeze."
        )
    return found


def freeze(seconds: float) -> None:
    """Choose an option of each idea and a peak of each peer, by their mean calibrated NLL on validation rows."""
    _check_unscored(SCORED)
    trained = {name: _is_trained(name) for name in (*IDEAS, *peers.PEERS)}
    found = _each("validation", [name for name in trained if trained[name]], _chosen, seconds)
    if len(found) < sum(trained.values()):
        return
    ideas = {name: found[name] for name in IDEAS if name in found}
    about = {
        "environment": environment(),
        "epochs": EPOCHS,
        "rows": data().contract["rows"],
        "test_sha256": data().contract["test_sha256"],
        "seeds": {name: [s[0], s[-1]] for name, s in _SEEDS.items()},
        "left_out": [name for name in trained if not trained[name]],
        "references": None
        if not all(trained.values()) or _left(CLOSE, NETS_TUNED)
        else {
            "nets": _reference(CLOSE, 4, NETS_TUNED),
            "moving averages": _reference(IDEAS[EMA], 2, SEARCH),
        },
        "chosen": min(ideas, key=lambda name: ideas[name]["validation"][0]),
    }
    _write(FROZEN, {**about, "ideas": ideas, "peers": {name: found[name] for name in peers.PEERS if name in found}})
    if about["references"] is None:
        print(f"part of the search is to be done: {', '.join(about['left_out']) or 'reference nets'}")
    print(f"chosen: {about['chosen']}: {ideas[about['chosen']]['words']}")


_SEEDS = {"search": SEARCH, "final": FINAL, "nets": NETS, "moving averages": EMA_NETS}


def _is_trained(name: str) -> bool:
    """Whether the search has come to all runs of an idea, or of a peer."""
    if name in peers.PEERS:
        return not peers.missing_peers([(name, peak, seed) for peak in peers.PEAKS for seed in SEARCH])
    return not _left(IDEAS[name], SEARCH)


def _left(options: list[Option], seeds: range) -> list:
    """What of these options has not been trained."""
    return missing(trail for option in options for seed in seeds for trail in option.trails(seed))


def _chosen(name: str) -> dict[str, Any]:
    """The option with the lowest mean calibrated NLL on the validation rows."""
    if name in peers.PEERS:
        tried = {peak: [_peer_on_validation(name, peak, seed) for seed in SEARCH] for peak in peers.PEAKS}
        best = min(tried, key=lambda peak: np.mean(tried[peak]))
        return {"peak": best, "tried": len(tried), "validation": _mean_and_error(tried[best])}
    options = {option: on_validation(option, SEARCH) for option in dict.fromkeys(IDEAS[name])}
    best = min(options, key=lambda option: np.mean(options[option]))
    return {
        "option": asdict(best),
        "words": str(best),
        "members": best.members,
        "tried": len(options),
        "validation": _mean_and_error(options[best]),
    }


def _reference(options: list[Option], size: int, seeds: range) -> dict[str, Any]:
    """The option with the best ensembles of so many nets on the validation rows, so that the yardstick is a tuned one."""

    def together(option: Option) -> float:
        nets = np.stack([combined(option, seed, "val") for seed in seeds])
        return (
            reference_curve(rows("val")[1], nets, largest=size).calibrated_nll[-1]
            if np.isfinite(nets).all()
            else np.inf
        )

    return asdict(min(options, key=together))


def _peer_on_validation(peer: str, peak: float, seed: int) -> float:
    probs = peers.peer_probs(peer, peak, seed, "val")
    return calibrated_nll(rows("val")[1], probs) if np.isfinite(probs).all() else float("inf")


def _mean_and_error(values: list[float]) -> list[float]:
    return [float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))]


def score(seconds: float) -> None:
    """Score what was chosen on the test rows, once, with intervals over seeds, reference nets and rows."""
    choice = frozen()
    _check_unscored(SCORED)
    if choice["test_sha256"] != data().contract["test_sha256"]:
        raise ValueError("the test rows are not those of the day of the choice. Restore the data, or choose again.")
    _score("test", choice, [*choice["ideas"], *choice["peers"]], SCORED, seconds)


def score_again(seconds: float) -> None:
    """Score the same choice on new signals; nothing can be chosen any more. Of the peers no weights were kept.

    What there was no time for is named in the file as left out, and added by the next call.
    """
    if not SCORED.exists():
        raise FileNotFoundError(f"'{SCORED}' does not exist: the test rows come first. Run python -m quality score.")
    if not AGAIN.exists() or json.loads(AGAIN.read_text()).get("left_out"):
        _score("fresh", frozen(), list(frozen()["ideas"]), AGAIN, seconds)
    else:
        _check_unscored(AGAIN)


def _score(part: str, choice: dict[str, Any], names: list[str], path: Path, seconds: float) -> None:
    y = rows(part)[1]
    option = {name: Option(**found["option"]) for name, found in choice["ideas"].items()}
    references = {name: Option(**given) for name, given in choice["references"].items()}
    nets = np.stack([combined(references["nets"], seed, part) for seed in NETS])
    averages = np.stack([combined(references["moving averages"], seed, part) for seed in EMA_NETS])

    def row(name: str) -> dict[str, Any]:
        forget()
        if name in peers.PEERS:
            peak = choice["peers"][name]["peak"]
            probs = np.stack([peers.peer_probs(name, peak, s, part) for s in FINAL if peers.is_trained(name, peak, s)])
        else:
            probs = np.stack([combined(option[name], seed, part) for seed in FINAL])
        worth = [asdict(deep_ensemble_equivalent(y, probs, reference)) for reference in (nets, averages)]
        return {"scores": scores(y, probs), "nets": worth[0], "moving averages": worth[1]}

    ready = [name for name in names if name in peers.PEERS or not _left([option[name]], FINAL)]
    found = _each(part, ready, row, seconds)
    if part == "test" and len(found) < len(ready):
        return
    curves = {n: reference_curve(y, r).calibrated_nll for n, r in (("nets", nets), ("moving averages", averages))}
    about = {"environment": environment("torch", "torchensemble"), "curves": curves, "scored_rows": len(y)}
    if part != "test":
        about["left_out"] = [name for name in names if name not in found]
    single = found[SINGLE]["scores"]
    for entry in found.values():
        entry["differences"] = {
            metric: interval(np.subtract(values, single[metric][: len(values)]).tolist())
            for metric, values in entry["scores"].items()
        }
        entry["means"] = {metric: interval(values) for metric, values in entry["scores"].items()}
    for entry in found.values():
        del entry["scores"]
    _write(path, {**choice, **about, "found": found})
    print(f"scored: {path}")


def _each(kind: str, names: list[str], do: Callable[[str], dict], seconds: float) -> dict[str, Any]:
    """Do it for each name, keeping what is done; once the time is over, nothing new is begun."""
    end, found = time.monotonic() + seconds, {}
    for number, name in enumerate(names):
        path = CACHE / kind / f"{re.sub('[^a-z0-9]+', '-', name)}.json"
        if not path.exists():
            if time.monotonic() > end:
                continue
            _write(path, do(name))
        found[name] = json.loads(path.read_text())
        print(f"{number + 1}/{len(names)}  {name}: {_short(found[name])}", flush=True)
    if len(found) < len(names):
        print(f"{len(names) - len(found)} of {len(names)} to go: call again")
    return found


def within(seconds: float, jobs: list[tuple[Callable, Any]]) -> None:
    """Do one job after the other, and begin none after so many seconds."""
    begin = time.monotonic()
    for place, (do, what) in enumerate(jobs):
        if time.monotonic() - begin > seconds:
            print(f"{len(jobs) - place} of {len(jobs)} to go: call again")
            return
        do(what)
        name = what[0] if isinstance(what, list) else what
        print(f"{place + 1}/{len(jobs)}  {time.monotonic() - begin:.0f} s  {name}", flush=True)


def _short(found: dict[str, Any]) -> str:
    if "validation" in found:
        return f"{found['validation'][0]:.4f} ± {found['validation'][1]:.4f}  {found.get('words', found.get('peak'))}"
    return f"{np.mean(found['scores']['calibrated_nll']):.4f}  worth {found['nets']['value']:.1f} nets"


def _check_unscored(path: Path) -> None:
    if path.exists():
        raise FileExistsError(
            f"'{path}' exists: these rows have been looked at, and whatever is chosen now is no longer blind. Read "
            f"it; to start all over, say so in the page and remove it with '{FROZEN}'."
        )


def _write(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
