"""How fast ten members are predicted and averaged: `Ensemble.predict` against what else one could write.

Aims: a small network at most 1.2 × ONE `model.predict` call; a convolutional one at most ten times a single compiled pass; a
larger dense one at most ONNX Runtime's time; never more than 1.05 × the best of what it did not choose. Every repetition
measures each way once, in a new order; given are medians with the smallest and the largest value, and the median of the
ratios within a repetition with its 95 % interval (bootstrap). Warm, compilation excluded. All ways begin with NumPy arrays
and end with one, but for the single pass, whose input and output stay on the device. What is written by hand does less than
ours: it is compiled for exactly these rows (ours pads 1,000 to 1,024 and takes any number), nobody looks whether it gives
probabilities, and the array that JAX returns there cannot be written to. ONNX Runtime takes part where it is installed (the
extra `bench`). On a GPU the same script reports what the GPU does.

    KERAS_BACKEND=torch python benchmarks/predict.py --repeats 9 --json predict.json
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from measuring import environment
from rich.console import Console
from rich.table import Table
from scipy import stats

import manyminima as mm

MEMBERS = 10
_REST = 0.05  # seconds in which the threads of the way before stop waiting for work
layers = keras.layers


def mlp(*widths: int):
    hidden = [layers.Dense(width, "relu") for width in widths]
    return keras.Sequential([keras.Input((20,)), *hidden, layers.Dense(10, "softmax")]), (20,)


def cnn():
    body = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu")]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head]), (28, 28, 1)


CASES = {
    "MLP 25, 1,000 rows": (lambda: mlp(25), 1000),
    "MLP 512-512, 10,000 rows": (lambda: mlp(512, 512), 10_000),
    "CNN 16-32, 1,000 images": (cnn, 1000),
}


def one_by_one(model, members, x):
    for weights in members:
        model.set_weights(weights)
        model.predict(x, verbose=0)


# -- what a user would write without us ----------------------------------------------------------------------------------


def forward_of(model):
    def forward(weights, x):
        with keras.StatelessScope(state_mapping=list(zip(model.weights, weights, strict=True))):
            return model(x, training=False)

    return forward


def by_hand(model, members, x):
    """Return the single pass, and programs of all members, as they are written by hand on this backend."""
    forward, put = forward_of(model), keras.ops.convert_to_tensor
    first = [put(w) for w in members[0]]
    stacked = [put(np.stack(ws)) for ws in zip(*members, strict=True)]
    here = put(x)
    return {"jax": jax_by_hand, "torch": torch_by_hand, "tensorflow": tensorflow_by_hand}[keras.backend.backend()](
        forward, first, stacked, here, x
    )


def jax_by_hand(forward, first, stacked, here, x):
    import jax

    single = jax.jit(forward)
    side_by_side = jax.jit(lambda weights, x: jax.vmap(forward, (0, None))(weights, x).mean(0))
    in_turn = jax.jit(lambda weights, x: jax.lax.map(lambda member: forward(member, x), weights).mean(0))
    return lambda: jax.block_until_ready(single(first, here)), {
        "by hand, jit of vmap": lambda: np.asarray(side_by_side(stacked, x)),
        "by hand, jit of lax.map": lambda: np.asarray(in_turn(stacked, x)),
    }


def torch_by_hand(forward, first, stacked, here, x):
    import torch

    def run(function, weights, inputs):
        with torch.no_grad():
            return function(weights, inputs)

    def wait():
        run(forward, first, here)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def loop():
        inputs = torch.from_numpy(x).to(here.device)
        return (sum(run(forward, weights, inputs) for weights in each) / MEMBERS).cpu().numpy()

    each = [[w[i] for w in stacked] for i in range(MEMBERS)]
    side_by_side = torch.func.vmap(forward, (0, None))
    return wait, {
        "by hand, vmap": lambda: run(side_by_side, stacked, torch.from_numpy(x).to(here.device)).mean(0).cpu().numpy(),
        "by hand, loop": loop,
    }


def tensorflow_by_hand(forward, first, stacked, here, x):
    import tensorflow as tf

    single = tf.function(forward)
    side_by_side = tf.function(
        lambda weights, x: tf.reduce_mean(tf.vectorized_map(lambda member: forward(member, x), weights), 0)
    )
    each = [[w[i] for w in stacked] for i in range(MEMBERS)]

    def loop():
        inputs = tf.constant(x)  # once, as in the others
        return tf.add_n([single(weights, inputs) for weights in each]).numpy() / MEMBERS

    return lambda: single(first, here).numpy(), {
        "by hand, vectorized_map": lambda: side_by_side(stacked, tf.constant(x)).numpy(),
        "by hand, loop": loop,
    }


def onnx_runtime(members, x):
    """Return the ways to run dense members in ONNX Runtime: in turn, two at a time, and as one graph."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return {}

    def session(graph, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    cores = os.cpu_count() or 1
    whole = session(dense_graph(members), cores)
    each = [session(dense_graph([weights]), cores) for weights in members]
    alone = [session(dense_graph([weights]), 1) for weights in members]
    pool = ThreadPoolExecutor(cores)

    def run(one):
        return one.run(None, {"x": x})[0]

    return {
        "ONNX Runtime, one graph": lambda: run(whole),
        "ONNX Runtime, ten sessions": lambda: np.mean([run(one) for one in each], axis=0),
        "ONNX Runtime, a session for each core": lambda: np.mean(list(pool.map(run, alone)), axis=0),
    }


def dense_graph(members) -> bytes:
    """Return the mean of dense networks (kernel, bias, …) as one ONNX graph: Gemm, Relu, …, Gemm, Softmax, Mean."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, outputs = [], [], []
    for k, weights in enumerate(members):
        last = "x"
        for i in range(0, len(weights), 2):
            names = [f"kernel_{k}_{i}", f"bias_{k}_{i}"]
            constants += [numpy_helper.from_array(w, name) for w, name in zip(weights[i : i + 2], names, strict=True)]
            nodes.append(helper.make_node("Gemm", [last, *names], [f"dense_{k}_{i}"]))
            kind = "Relu" if i + 2 < len(weights) else "Softmax"
            last = f"out_{k}_{i}"
            nodes.append(helper.make_node(kind, [f"dense_{k}_{i}"], [last]))
        outputs.append(last)
    nodes.append(helper.make_node("Mean", outputs, ["probs"]))
    ins = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", members[0][0].shape[0]])
    out = helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["rows", members[0][-1].shape[0]])
    graph = helper.make_graph(nodes, "members", [ins], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


# -- measuring ---------------------------------------------------------------------------------------------------------


def ways(build, rows: int):
    """Return every way by name, the chosen execution, and the names of the alternatives that the best is taken of."""
    model, shape = build()
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype("float32")
    members = [[w + 0.01 * i for w in model.get_weights()] for i in range(MEMBERS)]
    single, hand = by_hand(model, members, x)
    chosen = mm.Ensemble(model, members, task="multiclass")
    found = {
        "Ensemble.predict": lambda: chosen.predict(x),
        "one predict call": lambda: model.predict(x, verbose=0),
        "one predict call, one batch": lambda: model.predict(x, batch_size=rows, verbose=0),
        "ten predict calls": lambda: one_by_one(model, members, x),
        "single pass": single,
    }
    alternatives = {name: way for name, way in hand.items() if _runs(way)}
    for execution in ("stacked", "mapped", "looped"):
        try:
            ensemble = mm.Ensemble(model, members, task="multiclass", execution=execution)
            ensemble.predict(x)
        except (ValueError, RuntimeError):  # not on this backend
            continue
        alternatives[execution] = lambda ensemble=ensemble: ensemble.predict(x)
    peers = onnx_runtime(members, x) if len(shape) == 1 else {}
    expected = chosen.predict(x)
    for name, way in {**alternatives, **peers}.items():
        np.testing.assert_allclose(way(), expected, atol=1e-4, err_msg=name)
    return found | alternatives | peers, chosen.execution, list(alternatives)


def _runs(way) -> bool:
    """Whether this backend can do it: PyTorch's vmap has no convolutions of Keras's layout."""
    try:
        way()
    except RuntimeError:
        return False
    return True


def spread(values) -> list[float]:
    return [float(f(values)) for f in (np.median, np.min, np.max)]


def ratio(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """Return the median of the ratios within repetitions, with its 95 % interval."""
    ratios = ours / theirs
    sure = stats.bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return [float(np.median(ratios)), float(sure.low), float(sure.high)]


def measure(build, rows: int, repeats: int) -> dict:
    found, chosen, alternatives = ways(build, rows)
    order, seconds = np.random.default_rng(0), {name: [] for name in found}
    for repeat in range(repeats + 2):
        for name in order.permutation(list(found)):
            time.sleep(_REST)
            begin = time.perf_counter()
            found[name]()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - begin)
    taken = {name: np.array(values) for name, values in seconds.items()}
    ours = taken["Ensemble.predict"]
    # The chosen execution is what `Ensemble.predict` runs itself: against that there is nothing to win but noise.
    best = min((name for name in alternatives if name != chosen), key=lambda name: np.median(taken[name]))
    against = {
        "one predict call": ("", taken["one predict call"]),
        "ten predict calls": ("", taken["ten predict calls"]),
        "ten single passes": ("", MEMBERS * taken["single pass"]),
        "best alternative": (best, taken[best]),
    }
    peers = [name for name in taken if name.startswith("ONNX Runtime")]
    if peers:
        fastest = min(peers, key=lambda name: np.median(taken[name]))
        against["ONNX Runtime"] = (fastest.removeprefix("ONNX Runtime, "), taken[fastest])
    return {
        "chosen": chosen,
        "against": {
            name: {"way": way, "milliseconds": 1e3 * float(np.median(theirs)), "ratio": ratio(ours, theirs)}
            for name, (way, theirs) in against.items()
        },
        "milliseconds": {name: spread(1e3 * values) for name, values in taken.items()},
        "rows_per_second": float(MEMBERS * rows / np.median(ours)),
        "repeats": repeats,
    }


def device() -> str:
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {name: measure(build, rows, options.repeats) for name, (build, rows) in CASES.items()}
    show = Table("work", "way", "ms (smallest to largest)", "ours / it (95 %)", title=keras.backend.backend())
    for name, r in results.items():
        for way, (middle, low, high) in r["milliseconds"].items():
            label = f"{way} ({r['chosen']})" if way == "Ensemble.predict" else way
            show.add_row(name, label, f"{middle:.2f} ({low:.2f} to {high:.2f})", "")
        for way, it in r["against"].items():
            cell = "{:.3f} ({:.3f} to {:.3f})".format(*it["ratio"])
            show.add_row(name, f"{way} {it['way']}", f"{it['milliseconds']:.2f}", cell)
        show.add_row(name, "rows × members per second", f"{r['rows_per_second']:,.0f}", "", end_section=True)
    Console(width=130).print(show)
    if options.json:
        found = {"environment": {**environment(), "device": device()}, "results": results}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
