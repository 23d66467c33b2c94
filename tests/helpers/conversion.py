"""A candidate converted as it is exported, and held against what was predicted of it."""

from __future__ import annotations

import keras
import numpy as np

from dse.cost.report import estimate, estimate_graph
from dse.cost.tflm.build import HOST
from dse.cost.tflm.graph import OperatorGraph, renumbered
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import aligned, lifetimes
from dse.cost.tflm.tail import starting_bytes, tail_bytes, tail_parts
from dse.network.candidate import Candidate
from dse.quantization.convert import as_converted
from dse.quantization.timing import with_plausible_weights
from dse.tflite.deployable import check_deployable
from dse.tflite.reader import read_tflite
from dse.tflite.writer import for_device
from dse.training.model import build_model
from tests.helpers.tflm import allocations, head_bytes

FLASH_ERROR, MEDIAN_FLASH_ERROR = 0.03, 0.01


def convert(candidate: Candidate) -> bytes:
    """The file as the converter writes it, with weights as training leaves them."""
    keras.backend.clear_session()
    model = with_plausible_weights(build_model(candidate.network, for_conversion=True))
    noise = np.random.default_rng(0).random((2, *candidate.input_shape)).astype(np.float32)
    ends = np.stack([np.zeros(candidate.input_shape, np.float32), np.ones(candidate.input_shape, np.float32)])
    return as_converted(model, np.concatenate([noise, ends]))


def described(graph: OperatorGraph) -> list[object]:
    """Every operator with its tensors: type, shape, constant or not, number of scales, and which tensor it is."""
    graph, _ = renumbered(graph)

    def tensor(index: int) -> tuple[object, ...]:
        one = graph.tensors[index]
        return index, one.type, one.shape, one.constant, one.num_scales

    return [(o.kind, o.fused, [tensor(i) for i in o.inputs], [tensor(i) for i in o.outputs]) for o in graph.operators]


def check(candidates: list[Candidate]) -> list[float]:
    """Compares everything that is said of these candidates with their files; returns the errors of the file sizes."""
    files, wrong = {}, []
    for candidate in candidates:
        converted = convert(candidate)
        if described(lower(candidate.network)) != described(read_tflite(converted)):
            wrong.append(f"{candidate.id}: other operators or tensors: {candidate.to_json()}")
        files[candidate.id] = for_device(converted)
        check_deployable(files[candidate.id])
    errors = []
    # An arena of exactly what is said to be enough has to do.
    arenas = {name: enough(read_tflite(content)) for name, content in files.items()}
    for candidate, (head, tail) in zip(candidates, allocations(files, arenas).values(), strict=True):
        predicted, num_bytes = estimate(candidate.network), len(files[candidate.id])
        from_file = estimate_graph(read_tflite(files[candidate.id]), num_bytes)
        if not predicted.arena_head_bytes == from_file.arena_head_bytes == head:
            wrong.append(f"{candidate.id}: head {predicted.arena_head_bytes}, TFLM takes {head}: {candidate.to_json()}")
        if not predicted.arena_tail_bytes_host == from_file.arena_tail_bytes_host == tail:
            wrong.append(f"{candidate.id}: tail {predicted.arena_tail_bytes_host}, TFLM takes {tail}")
        if predicted.arena_tail_bytes != from_file.arena_tail_bytes or predicted.plan != from_file.plan:
            wrong.append(f"{candidate.id}: the file has another tail or plan than the paper")
        if (predicted.macs, predicted.deployed_params) != (from_file.macs, from_file.deployed_params):
            wrong.append(f"{candidate.id}: the file has other MACs or parameters than the paper")
        errors.append(predicted.flash_bytes / num_bytes - 1)
        if abs(errors[-1]) > FLASH_ERROR:
            wrong.append(
                f"{candidate.id}: file of {num_bytes}, predicted {predicted.flash_bytes}: {candidate.to_json()}"
            )
    assert not wrong, "\n".join(wrong)
    return errors


def enough(graph: OperatorGraph) -> int:
    """Bytes of an arena on the host: head and tail, or what starting takes; a multiple of 16."""
    tensors = lifetimes(graph)
    starting = starting_bytes(tail_parts(graph, HOST), len(tensors), HOST)
    return aligned(max(head_bytes(graph) + tail_bytes(graph, HOST), starting))
