"""What many tests share: the bundled sample, spaces of one family, and a quiet TensorFlow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dse.candidate import Candidate
from dse.datasets import Data, load_data
from dse.space import Space, load_space, parse_space
from dse.tasks import load_task
from dse.timing import with_plausible_weights as with_plausible_weights
from tests.browser import browser as browser  # a fixture of all tests

# Models that others made: those shipped with the tests, and all of the ground truth where it is at hand.
GROUND_TRUTH = Path(os.environ.get("DSE_GROUNDTRUTH", Path(__file__).parents[2] / "shared" / "groundtruth"))
PUBLISHED_MODELS = sorted(
    {
        path.stem: path
        for folder in (Path(__file__).parent, GROUND_TRUTH)
        for path in (folder / "models").glob("*.tflite")
    }.values()
)

# One network of every family, with what is special about it switched on.
FAMILIES = {
    "bneck": "{expansion: 3, squeeze_excite: 0.25, activation: hswish}",
    "dpd": "{multiplier: 2, activation: mish}",
    "fire": "{bypass: complex}",
    "sqnxt": "{}",
    "shuffle": "{groups: 2}",
    "residual": "{}",
    "separable": "{activation: relu6}",
    "conv": "{}",
    "depthwise": "{multiplier: 2}",
    "max_pool": "{kernel: 3}",
    "avg_pool": "{kernel: 2, padding: valid}",
}


def family_space(family: str, settings: str = "{}") -> Space:
    """A space of one network that is made of one family."""
    channels = "" if family in ("depthwise", "max_pool", "avg_pool") else "channels: {}, "
    first, second = channels.format(16), channels.format(32)
    return parse_space(
        f"""
space: {family}
stem: {{block: conv, channels: 16, stride: 2}}
stages:
  - {{block: {{choice: [{family}: {settings}]}}, {first}repeats: 1}}
  - {{block: {{choice: [{family}: {settings}]}}, {second}stride: 2, repeats: 2}}
head: {{channels: 64}}
""",
        f"{family}.yaml",
    )


def only_candidate(space: Space) -> Candidate:
    """The candidate of a space of size one."""
    return space.sample(np.random.default_rng(0))[1]


@pytest.fixture(scope="session")
def sample_data() -> Data:
    """The bundled sample of CIFAR-10."""
    return load_data(load_task("cifar10"), "sample")


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
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small network with squeeze-excite, h-swish and Mish, trained for an epoch: not to be changed."""
    from dse.cli.export_command import export_records
    from dse.run import search
    from dse.run_folder import load_summary
    from tests.test_run import Watcher, settings

    space = parse_space(
        """
space: small
stem: {block: conv, channels: 8, stride: 4, activation: hswish}
stages:
  - {block: bneck, channels: 8, expansion: 2, squeeze_excite: 0.25, activation: hswish}
  - {block: dpd, channels: 16, activation: mish, stride: 2}
training: {augment: none, batch_size: 200}
""",
        "small.yaml",
    )
    run = tmp_path_factory.mktemp("bundle") / "run"
    search(settings(run, space=space, trials=1, explorers={"random": 1.0}), Watcher())
    return export_records(run, load_summary(run).records, (), None, None, 100)[0].folder
