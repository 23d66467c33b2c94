"""The size of a `.h5` file is what Keras saves: reference networks within a per cent, tiny ones within five."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from dse.network.layers import Network
from dse.references.h5_size import h5_bytes
from dse.references.networks import load_reference
from dse.references.quantities import QUANTITIES
from dse.space.space import list_references
from dse.training.model import build_model
from tests.helpers.networks import FAMILIES, family_space, only_candidate, wide_candidates

pytestmark = pytest.mark.keras

OPTIMIZERS = {
    0: None,
    1: lambda: keras.optimizers.SGD(momentum=0.9),
    2: keras.optimizers.Nadam,
}
ERROR, TINY_ERROR = 0.01, 0.05  # 4.5 % was the most among 70 candidates of everything
CMV3_WIDTHS = (0.5, 0.75, 1.0, 1.5)
OTHERS = [path.stem for path in list_references() if path.stem not in ("cmv3", "mlperf_resnet8")]


def saved_bytes(network: Network, folder: Path) -> dict[int, int]:
    """Bytes of the file as Keras saves it, by slots of the optimizer."""
    keras.backend.clear_session()
    model = build_model(network)
    sizes = {}
    for slots, make in OPTIMIZERS.items():
        if make:
            optimizer = make()
            model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
            optimizer.build(model.trainable_variables)
        path = folder / f"{slots}.h5"
        model.save(path, include_optimizer=bool(slots))
        sizes[slots] = path.stat().st_size
        path.unlink()
    return sizes


def check(network: Network, folder: Path, error: float) -> None:
    """The size with 0, 1 and 2 slots is no further off than `error`."""
    for slots, size in saved_bytes(network, folder).items():
        assert h5_bytes(network, slots) == pytest.approx(size, rel=error), f"{slots} slots"


def test_cmv3(tmp_path: Path) -> None:
    check(load_reference("cmv3").candidate(width=0.35).network, tmp_path, ERROR)


def test_resnet8(tmp_path: Path) -> None:
    """Its JSON is short enough for HDF5 to double the collection that holds it: 20 KB of 754 with one slot."""
    check(load_reference("mlperf_resnet8").candidate().network, tmp_path, ERROR)


@pytest.mark.parametrize("family", ["shuffle", "fire"])
def test_a_family(family: str, tmp_path: Path) -> None:
    check(only_candidate(family_space(family, FAMILIES[family])).network, tmp_path, TINY_ERROR)


@pytest.mark.slow
@pytest.mark.parametrize("width", CMV3_WIDTHS)
def test_cmv3_at_other_widths(width: float, tmp_path: Path) -> None:
    check(load_reference("cmv3").candidate(width=width).network, tmp_path, ERROR)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_references(name: str, tmp_path: Path) -> None:
    check(load_reference(name).candidate().network, tmp_path, ERROR)


@pytest.mark.slow
def test_candidates_of_everything(tmp_path: Path) -> None:
    for candidate in wide_candidates(40, seed=5):
        check(candidate.network, tmp_path, TINY_ERROR)


def test_quantities() -> None:
    """Published: 5.2 MB for CMV3 at width 1 with Nadam, 15.3 MB for MobileNetV3-small with momentum."""
    cmv3, mobilenet = load_reference("cmv3").candidate(width=1.0), load_reference("mobilenet_v3_small").candidate()
    assert round(QUANTITIES["h5_nadam_bytes"](cmv3.network) / 1e6, 1) == 5.2
    assert round(QUANTITIES["h5_momentum_bytes"](mobilenet.network) / 1e6, 1) == 15.3
    assert QUANTITIES["h5_bytes"](cmv3.network) < 2e6
