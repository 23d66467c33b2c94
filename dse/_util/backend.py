"""What Keras computes with on this machine: TensorFlow, or JAX or PyTorch where there is none."""

from __future__ import annotations

import importlib.util
import os

from dse.errors import DseError

BACKENDS = ("tensorflow", "jax", "torch")  # the best for this purpose first


def choose_backend() -> str:
    """The name of what Keras will compute with, which is settled by it: what KERAS_BACKEND says, or what is installed.

    To be called before Keras is imported. Raises DseError when there is nothing.
    """
    installed = [name for name in BACKENDS if is_installed(name)]
    if not installed:
        raise DseError("nothing to train with is installed: Keras needs TensorFlow, JAX or PyTorch")
    if installed[0] != "tensorflow":  # which Keras takes by itself
        os.environ.setdefault("KERAS_BACKEND", installed[0])
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def is_installed(package: str) -> bool:
    """Whether a package can be imported here."""
    return importlib.util.find_spec(package) is not None
