"""Networks of the literature: every published figure has its verdict, and every network is built, converted and run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.formulas import layer_costs
from dse.cost.report import estimate
from dse.errors import FileError, UnknownNameError
from dse.network.candidate import Candidate
from dse.references.figures import MEASURED, Figure, arithmetic, load_figures, number
from dse.references.networks import load_reference, network_at, reproduce
from dse.references.quantities import QUANTITIES, quantity
from dse.space.space import list_references, load_space
from tests.helpers.paths import README

NAMES = [path.stem for path in list_references()]
# One of every block; the others are built and converted by make test-slow.
SOME = ("cifar_cnn", "cmv3", "hps_06", "mlperf_mobilenet_v1", "mlperf_resnet8", "shufflenet_g2", "squeezenet_v1_1")
BUILT = [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
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
    assert any(figure.network == name for figure in load_figures())


def test_some_have_every_block_of_all() -> None:
    def blocks(names: Iterable[str]) -> set[str]:
        return {block.kind for name in names for block in load_reference(name).candidate().blocks}

    assert blocks(SOME) == blocks(NAMES)


@pytest.mark.parametrize(("name", "quantity"), EXACT)
def test_counts(name: str, quantity: str) -> None:
    assert QUANTITIES[quantity](load_reference(name).candidate().network) == EXACT[name, quantity]


def test_every_figure_has_a_verdict() -> None:
    figures = load_figures()
    for row, figure in zip(reproduce(), figures, strict=True):
        if figure.verdict:
            assert row.verdict == f"{figure.verdict}: {figure.why}"
        elif figure.measured:
            assert row.verdict == f"not checkable: {figure.why or MEASURED[figure.quantity]}"
        else:
            # What is said to agree agrees within a per cent; what does not needs a reason in the file.
            within = "within" if figure.why else "within 0."
            assert row.verdict.startswith(("exact", "rounds to it", within)), row


def test_the_readme_counts_the_verdicts() -> None:
    counts = Counter(row.kind for row in reproduce())
    near, exact, rounded = counts["within"], counts["exact"], counts["rounds to it"]
    words = f"Of {counts.total()} figures {exact} are exact, {rounded} round to ours, {near} are near it, "
    words += f"{counts['inconsistent']} are inconsistent, {counts['not identifiable']} not identifiable and "
    words += f"{counts['not checkable']} not checkable."
    readme = README.read_text(encoding="utf-8")
    assert words in " ".join(readme.split())


def test_how_a_verdict_comes_about() -> None:
    """569 M rounds 568.74 M; 290 M cuts 290.68 M off; 4.24 M is 0.2 % above 4.232 M; 4,253,864 is exact."""
    verdicts = {(row.quantity, row.published): row.verdict for row in reproduce(("mobilenet_v1",))}
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
    assert {row["network"] for row in rows} >= set(NAMES)
    assert set(rows[0]) == {"network", "source", "quantity", "published", "ours", "difference", "verdict"}
    for row in rows:  # numbers, that nobody has to read out of texts
        assert row["ours"] is None or isinstance(row["ours"], int | float)
        if row["verdict"].startswith(("exact", "rounds", "within")):
            assert row["ours"] / row["published"] - 1 == pytest.approx(row["difference"])
    table = CliRunner().invoke(cli, ["reproduce", "mobilenet_v2"]).output
    assert "3,538,984" in table
    assert "mobilenet_v1" not in table
    assert table.splitlines()[-1].startswith("2")
    assert " not identifiable" in table.splitlines()[-1]
    table = CliRunner().invoke(cli, ["reproduce", "cifar_cnn"]).output
    assert "params[b0_conv]" in table


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


def test_a_figure_that_nobody_knows() -> None:
    with pytest.raises(UnknownNameError, match="unknown quantity 'parms', did you mean 'params'"):
        quantity("parms")
    with pytest.raises(UnknownNameError, match="unknown layer 'b99'"):
        quantity("params[b99]")(network_at("cmv3"))
    with pytest.raises(ValueError, match="needs a reason"):
        Figure(network="cmv3", source="x", quantity="params", published="5", verdict="inconsistent")
    with pytest.raises(FileError, match="nothing at 'stages.99.channels'"):
        network_at("cmv3", "stages.99.channels=3")
    with pytest.raises(ValueError, match="is no arithmetic"):
        arithmetic("__import__('os')")


def small(name: str) -> Candidate:
    """The network at its own image up to 96x96, else at 64x64; with ten classes."""
    reference = load_reference(name)
    size = reference.candidate().input_shape[0]
    space = reference.space.at(resolution=size if size <= 96 else 64)
    return space.sample(np.random.default_rng(0))[1]


@pytest.mark.keras
@pytest.mark.parametrize("name", BUILT)
def test_keras_agrees_on_every_layer(name: str) -> None:
    from dse.training.model import build_model

    candidate = small(name)
    model = build_model(candidate.network)
    for layer, cost in layer_costs(candidate.network):
        built = model.get_layer(layer.name)
        assert tuple(built.output.shape[1:]) == layer.shape
        assert built.count_params() == cost.params
    assert model.count_params() == estimate(candidate.network).params


@pytest.mark.keras
@pytest.mark.tflm
@pytest.mark.parametrize("name", BUILT)
def test_it_converts_and_runs_on_tflm(name: str) -> None:
    """The same operators, head, tail and arena as predicted, in an interpreter that has loaded the file."""
    from tests.helpers.conversion import check

    check([small(name)])


@pytest.mark.parametrize(
    ("space", "reference", "chosen"),
    [
        ("cmv3-hyperparameters.yaml", "cmv3", {}),
        ("squeezenext.yaml", "hps_21_v3", {"stages[1].repeats": 1, "stages[3].repeats": 3, "stages[5].repeats": 11}),
        ("squeezenext.yaml", "hps_06", {"stages[1].repeats": 0, "stages[3].repeats": 0, "stages[5].repeats": 0}),
        ("squeezenext.yaml", "hps_25", {"stages[1].repeats": 1, "stages[3].repeats": 3, "stages[5].repeats": 15}),
    ],
)
def test_a_reference_is_a_point_of_the_space_around_it(space: str, reference: str, chosen: dict[str, int]) -> None:
    """The first value of every choice, and the published number of blocks."""
    around = load_space(space)
    assignment = {path: next(iter(domain.values())) for path, domain in around.domains.items()} | chosen
    point, published = around.build(assignment), load_reference(reference).candidate()
    assert (point.blocks, point.head) == (published.blocks, published.head)
    for name in ("optimizer", "batch_size", "l2", "schedule"):
        assert getattr(point.training, name) == getattr(published.training, name)
