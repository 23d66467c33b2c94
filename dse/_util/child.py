"""Modules of dse that run in a process of their own."""

from __future__ import annotations

import sys
from pathlib import Path

# -P leaves the working folder out of where modules are looked for: a random.py there is not the library's. Where dse
# is not installed, it is found beside itself.
_RUN = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), None, '__main__', True)"


def module_command(name: str, *arguments: str) -> list[str]:
    """The command that runs a module such as `dse.ui.dashboard`, with its arguments."""
    return [sys.executable, "-P", "-c", _RUN, str(Path(__file__).parents[2]), name, *arguments]
