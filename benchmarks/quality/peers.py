"""The leading PyTorch package for ensembles on the same network, rows and budget: `pip install torch torchensemble`.

Its snapshot ensemble has five cycles; its fast geometric ensemble spends 49 of the 60 epochs on an ordinary run along one
cosine, and 11 on six members. Used as its documentation says, with the optimizer of all others.
"""

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from quality.problem import BATCH, CACHE, EPOCHS, L2, MOMENTUM, data, rows

__all__ = ["PEAKS", "PEERS", "is_trained", "missing_peers", "peer_probs", "train_peer"]

PEAKS = (0.05, 0.1, 0.2)
_BASE = 49  # epochs of the ordinary run before the fast geometric ones


def _network():
    """The Conv1D of 5,210 parameters in torch, with torch's own first weights."""
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            stack, channels = [], 1
            for size in (5, 3, 3):
                stack += [nn.Conv1d(channels, 25, size, stride=2, padding=1), nn.ReLU()]
                channels = 25
            self.stack = nn.Sequential(*stack, nn.Flatten(), nn.Linear(125, data().outputs))

        def forward(self, x):
            return self.stack(x)

    return Network


def _snapshot(batches: Any, peak: float) -> Any:
    from torchensemble import SnapshotEnsembleClassifier

    model = SnapshotEnsembleClassifier(estimator=_network(), n_estimators=5, cuda=False)
    model.set_optimizer("SGD", lr=peak, momentum=MOMENTUM, weight_decay=L2)
    model.fit(batches, epochs=EPOCHS, log_interval=10**6, save_model=False)
    return model


def _fast_geometric(batches: Any, peak: float) -> Any:
    from torchensemble import FastGeometricClassifier

    model = FastGeometricClassifier(estimator=_network(), n_estimators=6, cuda=False)
    model.set_optimizer("SGD", lr=peak, momentum=MOMENTUM, weight_decay=L2)
    model.set_scheduler("CosineAnnealingLR", T_max=_BASE)
    high, low = 0.5 * peak, 0.005 * peak
    model.fit(batches, cycle=2, lr_1=high, lr_2=low, epochs=_BASE, log_interval=10**6, save_model=False)
    return model


PEERS = {"torchensemble, snapshot, 5 cycles": _snapshot, "torchensemble, fast geometric, 6 members": _fast_geometric}


def _path(peer: str, peak: float, seed: int) -> Path:
    return CACHE / "peers" / f"{peer.split(', ')[1].replace(' ', '-')}-p{peak:g}-s{seed}.npz"


def missing_peers(peers: Iterable[tuple[str, float, int]]) -> list[tuple[str, float, int]]:
    """Those that have not been trained, of (name, peak, seed)."""
    return [peer for peer in peers if not is_trained(*peer)]


def is_trained(peer: str, peak: float, seed: int) -> bool:
    """Whether it has been."""
    return _path(peer, peak, seed).exists()


def train_peer(peer: str, peak: float, seed: int) -> None:
    """Train one ensemble, and keep what it predicts for the validation and test rows."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    logging.disable(logging.INFO)
    x, y = torch.from_numpy(_scaled(data().x_train)), torch.from_numpy(data().y_train)
    batches = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    model = PEERS[peer](batches, peak)
    model.eval()
    with torch.no_grad():
        found = {part: model(torch.from_numpy(_scaled(rows(part)[0]))).numpy() for part in ("val", "test")}
    path = _path(peer, peak, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    half_done = path.with_suffix(f".{os.getpid()}")
    with half_done.open("wb") as file:
        np.savez(file, **found)
    half_done.rename(path)


def peer_probs(peer: str, peak: float, seed: int, part: str) -> np.ndarray:
    """What it predicts for the rows of a part, (examples, classes)."""
    with np.load(_path(peer, peak, seed)) as file:
        return file[part]


def _scaled(x: np.ndarray) -> np.ndarray:
    """Mean and variance as the Keras network has them, and an axis of channels."""
    mean, deviation = data().x_train.mean(dtype=np.float64), math.sqrt(data().x_train.var(dtype=np.float64))
    return ((x - mean) / deviation).astype("float32")[:, None]
