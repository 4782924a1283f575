"""What Collect says while it collects."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from manyminima.runs.format import Member

__all__ = ["ended_line", "member_line", "past_line", "single_numbers"]

_NO_NUMBER = "OSUMmc"  # NumPy's kinds of objects, texts, times and complex numbers


def single_numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the logs that are one number; arrays of several classes and what other callbacks note are no score of a member."""
    arrays = {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in logs.items()}
    return {
        name: float(array.item())
        for name, array in arrays.items()
        if array.size == 1 and array.dtype.kind not in _NO_NUMBER
    }


def member_line(member: Member, count: int, total: int) -> str:
    """Return what is said of a member that was collected."""
    watched = [k for k in ("val_loss", "loss") if k in member.logs]
    score = f"{watched[0]} {member.logs[watched[0]]:.4g}, " if watched else ""
    return f"member {count}/{total} at step {member.step}, epoch {member.epoch:.4g}: {score}{member.bytes / 1e6:.2g} MB"


def past_line(past: Mapping[str, Any], due: int, lost: str) -> str:
    """Return what is said of a training that goes on, or that has ended already."""
    members = f"{len(past['collected'])} of {due} members are there"
    if past["finished"]:
        return f"this run is finished, after step {past['step']}: {members}; nothing is trained"
    order = f" (the order of the rows is another one: {lost})" if lost else ""
    return f"going on after step {past['step']}, epoch {past['epoch'] + 1}: {members}{order}"


def ended_line(step: int, count: int, total: int) -> str:
    """Return what is said of a training that ended before all members were collected."""
    return f"training ended at step {step}: {count} of {total} members were collected"
