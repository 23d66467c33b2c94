"""Keeps TensorFlow's native notes off the terminal: they come from C++ and ignore Python's logging."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

from dse._util.backend import choose_backend


@contextmanager
def quiet_native() -> Iterator[None]:
    """Sends what is printed, by Python or beneath it, nowhere; what is raised still comes through."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, nowhere):
            os.close(descriptor)


def quiet_tensorflow(threads: int | None = None) -> None:
    """Imports Keras and what it computes with silently, and sets how many threads that uses; to be called before their
    use. Raises DseError as `choose_backend`."""
    choose_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its kernels train these networks two to three times as fast on any processor with AVX2; by itself TensorFlow takes
    # them only where there is AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_native():
        import absl.logging
        import keras

        absl.logging.set_verbosity(absl.logging.ERROR)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with suppress(RuntimeError):  # already in use in this process: its threads stay as they are
                if threads:
                    tf.config.threading.set_intra_op_parallelism_threads(threads)
                    tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.constant(0)  # the first use looks for accelerators, and says so


def thread_settings() -> dict[str, str]:
    """How many threads this process may use for one thing, as it is set; after `quiet_tensorflow`."""
    import keras

    found = {"OMP": os.environ.get("OMP_NUM_THREADS", "")}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found["intra"] = str(tf.config.threading.get_intra_op_parallelism_threads())
        found["inter"] = str(tf.config.threading.get_inter_op_parallelism_threads())
    return found
