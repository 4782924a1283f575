"""The section on CIFAR of benchmarks/README.md."""

import numpy as np
from measuring import interval, load, where

__all__ = ["cifar"]


def cifar() -> list[str]:
    lines = [line for result in load("cifar") for line in _one(result)]
    return ["## CIFAR: snapshots of a paper's network, and an ordinary run (`cifar.py`)", "", *lines] if lines else []


def _one(result: dict) -> list[str]:
    training, speed, seeds = result["training"], result["speed"], result["seeds"]
    rows = result["data"]["rows"]
    lines = [
        f"{result['data']['source']}, {training['model']} in {training['precision']}, {training['epochs']} epochs of "
        f"{rows['train']:,} images, batch {training['batch_size']}, {training['optimizer']}, peak {training['peak']:g}, "
        f"weight decay {training['weight_decay']:g}, {training['augment']}; the single run has one cycle and the "
        "same length; no tuning.",
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}, {rows['test']:,} test images.",
        "",
        "| | error, % | NLL, nats |",
        "|---|---|---|",
    ]
    for name in seeds[0]["scores"]:
        error, nll = (np.mean([seed["scores"][name][key] for seed in seeds]) for key in ("error", "nll"))
        lines.append(f"| {name} | {error:.2f} | {nll:.4f} |")
    lines.append("")
    for other in ("single run", "last member"):
        texts = []
        for key, digits, unit in (("error", 2, "points"), ("nll", 4, "nats")):
            gaps = [seed["ensemble −"][other][key] for seed in seeds]
            mean, low, high = gaps[0] if len(gaps) == 1 else interval([gap[0] for gap in gaps])
            texts.append(f"{mean:+.{digits}f} {unit} ({low:+.{digits}f} to {high:+.{digits}f})")
        over = "test images alone: another seed may say otherwise" if len(seeds) == 1 else "seeds"
        lines.append(f"Ensemble − {other}: {', '.join(texts)}; 95 % interval over {over}.")
    lines += [
        "",
        f"{speed['images_per_second']:,.0f} images per second in training, {speed['images_per_second_served']:,.0f} served by "
        f"augmentation alone; {100 * speed['share_of_peak']:.1f} % of the {speed['peak_operations_per_second'] / 1e12:.3g} "
        f"Tflop/s that a large product reaches on this device ({result['environment']['device']}).",
        "",
        f"- {where(result)}",
        "",
    ]
    return lines
