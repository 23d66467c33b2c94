"""What the cost says before training is what the converted file and the real TFLM allocator say after it."""

from __future__ import annotations

import pytest

from dse.build import build_model
from dse.candidate import Candidate
from dse.convert import calibration_set, to_int8
from dse.cost import estimate
from dse.datasets import Data
from dse.runtimes import run_tflm
from dse.tflite_file import check_deployable
from tests.conftest import with_plausible_weights

# Stated in dse/cost/estimate.py: the head is exact, tail and file are estimates.
TAIL_ERROR, FLASH_ERROR = 0.02, 0.03


def check(candidate: Candidate, data: Data) -> None:
    predicted = estimate(candidate.network)
    model = with_plausible_weights(build_model(candidate.network, for_conversion=True))
    content = to_int8(model, calibration_set(data.train)[-4:])
    assert check_deployable(content).counts() == predicted.operators
    measured = run_tflm(content, data.test.images[:1], processes=1)
    assert measured.head_bytes == predicted.arena_head_bytes
    assert predicted.arena_tail_bytes == pytest.approx(measured.tail_bytes, rel=TAIL_ERROR)
    assert predicted.flash_bytes == pytest.approx(len(content), rel=FLASH_ERROR)


@pytest.mark.parametrize("index", [0, 5, 9, 14, 116, 164, 171])
def test_prediction_and_file(index: int, random_candidates: list[Candidate], sample_data: Data) -> None:
    check(random_candidates[index], sample_data)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(20, 240, 4))
def test_prediction_and_file_of_many(index: int, random_candidates: list[Candidate], sample_data: Data) -> None:
    check(random_candidates[index], sample_data)
