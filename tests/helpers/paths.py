"""Where the tests find the repository, its runs and models, and the ground truth where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dse"
README = ROOT / "README.md"
RESULTS = ROOT / "results"
RUN = RESULTS / "cifar10-mixed-nano33ble"  # a finished search
MODELS = ROOT / "tests" / "models"  # TFLite files that others made
WIDE = ROOT / "tests" / "helpers" / "wide.yaml"  # a space of everything that the grammar has

# Models and measurements of others, beside the repository; tests that need them are skipped without.
GROUND_TRUTH = Path(os.environ.get("DSE_GROUNDTRUTH") or ROOT.parent / "shared" / "groundtruth")

# Those shipped with the tests, and all of the ground truth.
PUBLISHED_MODELS = sorted(
    {path.stem: path for folder in (MODELS, GROUND_TRUTH / "models") for path in folder.glob("*.tflite")}.values()
)
