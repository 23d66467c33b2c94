"""Every family trains, converts to int8 without float operators, and means the same on LiteRT and on TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from dse.build import build_model
from dse.convert import calibration_set, for_conversion, to_int8
from dse.cost import estimate
from dse.datasets import Data
from dse.pipeline import predict
from dse.runtimes import run_litert, run_tflm
from dse.tflite_file import check_deployable
from dse.train import train
from tests.conftest import FAMILIES, family_space, only_candidate


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family_trains_and_deploys(family: str, sample_data: Data) -> None:
    candidate = only_candidate(family_space(family, FAMILIES[family]))
    settings = candidate.training.model_copy(update={"epochs": 3, "learning_rate": 3e-3})
    model = build_model(candidate.network, seed=1)
    history = train(model, sample_data.train, settings, seed=1)
    assert history["loss"][-1] < history["loss"][0]

    content = to_int8(for_conversion(candidate, model), calibration_set(sample_data.train))
    file = check_deployable(content)  # no Flex, no float tensor, nothing that TFLM lacks, at most four axes
    assert file.counts() == estimate(candidate.network).operators

    images = sample_data.test.images
    litert, tflm = run_litert(content, images, reference=True), run_tflm(content, images)
    assert len(litert) == 1000
    same = np.mean(litert.argmax(1) == tflm.logits.argmax(1))
    assert same >= 0.99
    assert tflm.head_bytes == estimate(candidate.network).arena_head_bytes

    # After three epochs the classes are near ties, so int8 may differ; it must still be the same network.
    assert np.mean(predict(model, sample_data.test) == litert.argmax(1)) > 0.85
