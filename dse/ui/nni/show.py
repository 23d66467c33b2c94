"""A run on NNI's web UI, read from its folder: finished, or going on elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dse.search.run_folder import load_summary, read_run
from dse.space.space import parse_space
from dse.ui.nni.experiment import NniExperiment

POLL_S = 2.0


def show(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Shows a run until it is interrupted, or until NNI ends. Of a trial in training the epochs come when it has ended.

    Raises RunError when the folder is no run.
    """
    run = read_run(folder)
    space = parse_space(run["space_text"], run["settings"]["space"])
    explorers = [text.partition("=")[0] for text in run["settings"]["explorer"].split(", ")]
    with closing(NniExperiment(folder.resolve().name, space, explorers, port, 1, say)) as experiment:
        while experiment.alive:
            for record in load_summary(folder).records:
                experiment.show(record)
            time.sleep(POLL_S)
