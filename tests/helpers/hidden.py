"""Runs dse as if some packages were not installed: `python -m tests.helpers.hidden tensorflow,ray search ...`.

What is installed beside dse decides what Keras computes with; a virtual environment of its own for that would take the
tests minutes, and an index to install from.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

ON_A_GPU_MACHINE = "tensorflow,ray,nni,ai_edge_litert,tflite_micro,flatbuffers,plotly,matplotlib,sklearn,psutil"


def hide(packages: str) -> None:
    """From now on these packages are not found."""
    hidden = set(packages.split(","))

    class Rest(PathFinder):
        @classmethod
        def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            return None if fullname.partition(".")[0] in hidden else PathFinder.find_spec(fullname, path, target)

    sys.meta_path[:] = [Rest if finder is PathFinder else finder for finder in sys.meta_path]


if __name__ == "__main__":
    hide(sys.argv[1])
    del sys.argv[1]
    from dse.cli import main

    main()
