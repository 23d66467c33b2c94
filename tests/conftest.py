"""What many tests share: the bundled sample, spaces of one family, and a quiet TensorFlow."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dse.data.datasets import Data, load_data
from dse.network.candidate import Candidate
from dse.space.space import load_space, parse_space
from dse.tasks import load_task
from tests.helpers.browser import browser as browser  # a fixture of all tests


@pytest.fixture(scope="session")
def sample_data() -> Data:
    """Two thousand of the bundled sample of CIFAR-10: as many as tests have time for."""
    whole = load_data(load_task("cifar10"), "sample")
    return replace(whole, train=whole.train.first(1800), validation=whole.validation.first(200))


@pytest.fixture(scope="session")
def random_candidates() -> list[Candidate]:
    """240 candidates over both shipped spaces, which hold every family."""
    found = []
    for seed, name in enumerate(("mixed", "cmv3")):
        space, rng = load_space(name), np.random.default_rng(seed)
        found += [space.sample(rng)[1] for _ in range(160 if name == "mixed" else 80)]
    return found


@pytest.fixture(autouse=True, scope="session")
def _own_data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees or changes the data sets of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSE_DATA", str(tmp_path_factory.mktemp("data-home")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """Shells start what runs in the background deaf to Ctrl-C, and the programs that tests interrupt would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of two trials of an epoch, of small networks with squeeze-excite, h-swish and Mish: not to be changed."""
    from dse.search.loop import search
    from tests.helpers.searches import Watcher, settings

    space = parse_space(
        """
space: small
stem: {block: conv, channels: 8, stride: 4, activation: hswish}
stages:
  - {block: bneck, channels: 8, expansion: 2, squeeze_excite: 0.25, activation: hswish}
  - {block: dpd, channels: {choice: [16, 24]}, activation: mish, stride: 2}
training: {augment: none, batch_size: 200}
""",
        "small.yaml",
    )
    run = tmp_path_factory.mktemp("finished") / "run"
    search(settings(run, space=space, trials=2, explorers={"random": 1.0}), Watcher())
    return run


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for tests that change it."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def bundle(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of one trial of the finished run, in a copy of it: not to be changed."""
    from dse.export.runs import export_run

    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("bundle") / "run"))
    return export_run(run, trials=[0], test_images=100)[0].folder
