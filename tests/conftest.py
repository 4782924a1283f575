"""Shape annotations are checked while the tests run; trained fixtures are shared, because a fit costs a second."""

from jaxtyping import install_import_hook

# The half that works on arrays. Elsewhere a wrong type must reach our own messages, which tests match.
_ARRAY_HALF = (
    *(
        "arrays",
        "calibrate",
        "calibrated",
        "checks",
        "combine",
        "decomposition",
        "detection",
        "diversity",
        "equivalent",
        "metrics",
        "reliability",
    ),
    *("mixtures", "plots", "reporting", "segmentation", "selection", "sharpness", "uncertainty", "weight_space"),
)
_hook = install_import_hook([f"manyminima.{name}" for name in _ARRAY_HALF], "beartype.beartype")

import os  # noqa: E402
import tempfile  # noqa: E402

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One thread for each worker's kernels: the workers themselves fill the cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
# Many tests compile the same small program; JAX may take it from the first that did.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "manyminima-tests-jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from hypothesis import settings  # noqa: E402

# A shared machine may stall at any moment: how long an example takes proves nothing.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
