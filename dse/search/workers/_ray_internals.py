"""What needs Ray's insides, for which Ray has no switch of its own.

Read in Ray 2.54 to 2.60. The upper bound in pyproject.toml holds until `tests/search/test_ray_internals.py` has run on
the next.
"""

from __future__ import annotations

from typing import Any


def keep_quiet() -> None:
    """Keep Ray from printing to stdout when a worker or a node is lost: we say what follows from it.

    `log_to_driver=False` silences workers only. Messages of the cluster itself reach stdout through
    `ray._private.worker.print_to_stdstream`, in `listen_error_messages`, which asks no setting.
    """
    from ray._private import worker

    if not hasattr(worker, "print_to_stdstream"):
        return  # a later Ray prints elsewhere: noise on stdout is not worth a failed search

    def say_nothing(*arguments: Any, **options: Any) -> None:
        """Take what Ray would print."""

    worker.print_to_stdstream = say_nothing
