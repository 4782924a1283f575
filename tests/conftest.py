"""Shape annotations are checked while the tests run; trained fixtures are shared, because a fit costs a second."""

from jaxtyping import install_import_hook

_hook = install_import_hook("manyminima", "beartype.beartype")

import os  # noqa: E402

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One thread for each worker's kernels: the workers themselves fill the cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
