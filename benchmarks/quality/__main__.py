"""Quality at equal budget, on MNIST-1D: what 60 epochs of training can be turned into, counted in fully trained nets.

Everything is chosen on validation rows, with seeds that are used for nothing else; the choice is frozen in a file, and only
then are the test rows scored, once. Each command goes on where it stopped.

    cd benchmarks
    python -m quality search        # train the runs that ideas are compared with
    python -m quality freeze        # choose one option of each idea, on validation rows
    python -m quality final         # train the chosen ones on new seeds, and the reference nets
    python -m quality score         # the test rows, once
    python -m quality again         # the same choice on 10,000 new signals, once
    python -m quality page          # the table of docs/quality.md
"""

import argparse
from collections.abc import Callable, Iterable

from quality import page, peers, results
from quality.ideas import CLOSE, IDEAS, Option
from quality.problem import EMA_NETS, FINAL, NETS, NETS_TUNED, PEERS_FINAL, SEARCH
from quality.trails import Trail, missing, train


def searched() -> tuple[list[Trail], list[tuple[str, float, int]]]:
    """The runs that validation needs."""
    trails = [t for options in IDEAS.values() for o in options for seed in SEARCH for t in o.trails(seed)]
    trails += [trail for option in CLOSE for seed in NETS_TUNED for trail in option.trails(seed)]
    return trails, [(peer, peak, seed) for peer in peers.PEERS for peak in peers.PEAKS for seed in SEARCH]


def chosen() -> tuple[list[Trail], list[tuple[str, float, int]]]:
    """The runs that the scores need: the reference nets, and the chosen options; the best of them first."""
    found = results.frozen()
    options = {name: Option(**idea["option"]) for name, idea in found["ideas"].items()}
    references = (Option(**found["references"][name]) for name in ("nets", "moving averages"))
    pairs = [*zip(references, (NETS, EMA_NETS), strict=True), (options[found["chosen"]], FINAL)]
    pairs += [(option, FINAL) for option in options.values()]
    trails = [trail for option, seeds in pairs for seed in seeds for trail in option.trails(seed)]
    return trails, [(peer, found["peers"][peer]["peak"], seed) for peer in found["peers"] for seed in PEERS_FINAL]


def train_all(wanted: tuple[list[Trail], list], of: str, seconds: float) -> None:
    """Train what is not there yet; a share "0/2" of it leaves the rest to another process."""
    place, count = map(int, of.split("/"))
    jobs: list[tuple[Callable, Iterable]] = [(train, group) for group in missing(wanted[0], place, count)]
    left = peers.missing_peers(wanted[1][place::count])
    results.within(seconds, [*jobs, *((lambda peer: peers.train_peer(*peer), peer) for peer in left)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("search", "freeze", "final", "score", "again", "page"))
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing new after so many")
    parser.add_argument("--share", default="0/1", help="of training: 0/2 and 1/2 for two processes")
    options = parser.parse_args()
    if options.command == "page":
        page.write_table()
        return
    judge = {"freeze": results.freeze, "score": results.score, "again": results.score_again}
    if options.command in judge:
        judge[options.command](options.seconds)
        return
    train_all(searched() if options.command == "search" else chosen(), options.share, options.seconds)


if __name__ == "__main__":
    main()
