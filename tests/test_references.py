"""Networks of the literature: every published figure has its verdict, and every network is built, converted and run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dse.build import build_model
from dse.candidate import Candidate
from dse.cli import cli
from dse.cost import estimate
from dse.cost.formulas import layer_costs
from dse.errors import FileError, UnknownNameError
from dse.references import QUANTITIES, Published, load_reference, number, reproduce
from dse.space import list_references, load_space
from tests.agreement.test_export_agrees import check

NAMES = [path.stem for path in list_references()]
# Counted by hand or by others, to the last digit.
EXACT = {
    ("mobilenet_v1", "params"): 4_253_864,
    ("mobilenet_v1", "macs"): 568_740_352,
    ("mobilenet_v1", "kernels"): 4_209_088,
    ("mobilenet_v2", "params"): 3_538_984,
    ("mobilenet_v2", "macs"): 300_774_272,
    ("mobilenet_v3_small", "params"): 1_846_930,
    ("mobilenet_v3_small", "trainable_params"): 1_834_786,
    ("cmv3", "params"): 117_050,
    ("mlperf_resnet8", "deployed_params"): 77_706,
    ("mlperf_resnet8", "macs"): 12_501_632,
    ("mlperf_resnet8", "arena_head_bytes"): 49_152,
    ("squeezenet_v1_0", "params"): 1_248_424,
    ("cmv3", "trainable_params"): 114_426,
    ("cmv3", "macs"): 22_657_248,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_is_one_network(name: str) -> None:
    reference = load_reference(name)
    assert reference.space.size() == 1
    assert reference.published.figures


@pytest.mark.parametrize(("name", "quantity"), EXACT)
def test_counts(name: str, quantity: str) -> None:
    assert QUANTITIES[quantity](load_reference(name).candidate().network) == EXACT[name, quantity]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_verdict(name: str) -> None:
    reference = load_reference(name)
    rows = list(reproduce(reference))
    assert len(rows) == len(reference.published.figures)
    for row, figure in zip(rows, reference.published.figures, strict=True):
        if figure.verdict:
            assert figure.why, f"{figure.quantity}: a verdict of the file needs a reason"
            assert row.verdict == f"{figure.verdict}: {figure.why}"
        else:
            # What is said to agree agrees within a per cent; what does not needs a reason in the file.
            within = "within" if figure.why else "within 0."
            assert row.verdict.startswith(("exact", "rounds to it", within)), row


def test_how_a_verdict_comes_about() -> None:
    """569 M rounds 568.74 M; 290 M cuts 290.68 M off; 4.24 M is 0.2 % above 4.232 M; 4,253,864 is exact."""
    verdicts = {(row.quantity, row.published): row.verdict for row in reproduce(load_reference("mobilenet_v1"))}
    assert verdicts["macs", "569 M"] == "rounds to it"
    assert verdicts["macs at resolution 160", "290 M"] == "rounds to it (cut off)"
    assert verdicts["trainable_params", "4.24 M"].startswith("within 0.2 %: with three values")
    assert verdicts["params", "4,253,864"] == "exact"
    assert verdicts["macs_share_conv", "1.19 %"].startswith("inconsistent: the digits of 1.91 are swapped")


def test_printed_figures() -> None:
    assert number("94.86 %") == pytest.approx((0.9486, 0.0001))
    assert number("13,002") == (13_002, 1)
    with pytest.raises(ValueError, match="is no figure"):
        number("about 5")


def test_reproduce_as_json_and_as_a_table() -> None:
    rows = json.loads(CliRunner().invoke(cli, ["reproduce", "--json"]).output)
    assert {row["network"] for row in rows} == set(NAMES)
    assert set(rows[0]) == {"network", "source", "quantity", "published", "ours", "difference", "verdict"}
    table = CliRunner().invoke(cli, ["reproduce", "mobilenet_v2"]).output
    assert "3,538,984" in table
    assert "mobilenet_v1" not in table


def test_a_reference_is_costed_by_its_name() -> None:
    """`cmv3` is the network, `cmv3.yaml` the space around it."""
    report = json.loads(CliRunner().invoke(cli, ["cost", "cmv3", "--json"]).output)
    assert report["params"] == 117_050
    assert "fits" in json.loads(CliRunner().invoke(cli, ["cost", "cmv3.yaml", "--json"]).output)
    assert load_space("reference/cmv3.yaml").size() == 1
    with pytest.raises(UnknownNameError, match="did you mean 'mobilenet_v1'"):
        load_reference("mobilenetv1")
    with pytest.raises(UnknownNameError, match="did you mean 'mobilenet_v2'"):
        load_space("reference/mobilenet-v2")


def test_a_wrong_figure_has_an_address() -> None:
    document = load_reference("cmv3").space.document
    with pytest.raises(FileError, match=r"cmv3.yaml:\d+: published.figures: came 5"):
        document.check(Published, {"classes": 10, "figures": 5}, ("published",))


def small(name: str) -> Candidate:
    """The network at 32x32 or, where it shrinks its input by 32, at 64x64; with ten classes."""
    reference = load_reference(name)
    size = 64 if reference.candidate().input_shape[0] > 32 else 32
    space = reference.space.at(resolution=size)
    return space.sample(np.random.default_rng(0))[1]


@pytest.mark.parametrize("name", NAMES)
def test_keras_agrees_on_every_layer(name: str) -> None:
    candidate = small(name)
    model = build_model(candidate.network)
    for layer, cost in layer_costs(candidate.network):
        built = model.get_layer(layer.name)
        assert tuple(built.output.shape[1:]) == layer.shape
        assert built.count_params() == cost.params
    assert model.count_params() == estimate(candidate.network).params


@pytest.mark.parametrize("name", NAMES)
def test_it_converts_and_runs_on_tflm(name: str) -> None:
    """The same operators, head, tail and arena as predicted, in an interpreter that has loaded the file."""
    check([small(name)])
