"""A network as the table that papers print: a row for every block, with what the block costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dse.cost.formulas import layer_costs
from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import lifetimes
from dse.network.blocks import Block
from dse.network.candidate import Candidate, layer_prefix
from dse.network.layers import Shape

HEAD_PARTS = ("conv", "pool", "features", "flatten", "classes")
COLUMNS = ("input", "operator", "e", "c", "SE", "NL", "s", "params", "MACs", "weights", "memory")


@dataclass(frozen=True)
class TableRow:
    """One block, or one part of the head."""

    input: Shape
    operator: str
    expansion: int | None  # channels inside the block: widened, or squeezed
    channels: int
    squeeze_excite: float  # its channels over those it works on; 0 for none
    activation: str
    stride: int
    params: int
    macs: int
    weight_bytes: int  # of kernels, biases and other constants in the file, without what describes them
    memory_bytes: int  # activations alive at the worst moment inside

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of COLUMNS."""
        return (
            "x".join(map(str, self.input)),
            self.operator,
            str(self.expansion or "-"),
            str(self.channels),
            f"{self.squeeze_excite:.3g}" if self.squeeze_excite else "-",
            self.activation if self.activation != "none" else "-",
            str(self.stride),
            *(f"{value:,}" for value in (self.params, self.macs, self.weight_bytes, self.memory_bytes)),
        )


def network_table(candidate: Candidate) -> list[TableRow]:
    """The rows of a candidate. Parameters and MACs add up to those of `estimate`, the largest memory is the peak."""
    network = candidate.network
    prefixes = [layer_prefix(index, block) for index, block in enumerate(candidate.blocks)]
    prefixes += [
        f"head_{part}" for part in HEAD_PARTS if any(_belongs(layer.name, f"head_{part}") for layer in network)
    ]
    costs = {layer.name: cost for layer, cost in layer_costs(network)}
    weights, memory = _bytes(candidate)
    rows = []
    shape = network.input_shape
    for index, prefix in enumerate(prefixes):
        layers = [layer for layer in network if _belongs(layer.name, prefix)]
        block = candidate.blocks[index] if index < len(candidate.blocks) else None
        if prefix == "head_flatten" and shape[:2] == (1, 1):
            continue  # no operator is left of it
        values = _of_block(block, shape) if block else _of_head(candidate, prefix)
        rows.append(
            TableRow(
                input=shape,
                channels=layers[-1].shape[-1],
                params=sum(costs[layer.name].params for layer in layers),
                macs=sum(costs[layer.name].macs for layer in layers),
                weight_bytes=sum(size for name, size in weights if _belongs(name, prefix)),
                memory_bytes=max((size for name, size in memory if _belongs(name, prefix)), default=0),
                **values,
            )
        )
        shape = layers[-1].shape
    return rows


def _belongs(name: str, prefix: str) -> bool:
    """Whether a layer, or a tensor named after one, is in a row; the head's squeeze-excite is its convolution's."""
    return (
        name.startswith(f"{prefix}_")
        or name.split("/")[0] == prefix
        or (prefix == "head_conv" and name.startswith("head_se_"))
    )


def _of_block(block: Block, shape: Shape) -> dict[str, Any]:
    values = block.model_dump()
    kernel = values.get("kernel")
    return {
        "operator": f"{block.kind} {kernel}x{kernel}" if kernel else block.kind,
        "expansion": block.inner_channels(shape[-1]),
        "squeeze_excite": values.get("squeeze_excite", 0.0),
        "activation": values.get("activation", "none"),
        "stride": block.stride,
    }


def _of_head(candidate: Candidate, prefix: str) -> dict[str, Any]:
    head, part = candidate.head, prefix.removeprefix("head_")
    operators = {"conv": "conv 1x1", "features": "conv 1x1", "pool": "mean", "classes": head.classifier}
    acts = {
        "conv": head.activation,
        "features": head.activation,
        "classes": "relu" if head.classifier == "conv" else "none",
    }
    return {
        "operator": operators.get(part, part),
        "expansion": None,
        "squeeze_excite": head.squeeze_excite if part == "conv" else 0.0,
        "activation": acts.get(part, "none"),
        "stride": 1,
    }


def _bytes(candidate: Candidate) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Bytes of every constant, and bytes alive during each operator, by the name of the layer that it belongs to."""
    graph, _, _ = arranged(lower(candidate.network))
    alive = lifetimes(graph)
    weights, memory, seen = [], [], set[int]()
    for step, operator in enumerate(graph.operators):
        name = graph.tensors[operator.outputs[0]].name
        memory.append((name, sum(t.num_bytes for t in alive if t.first <= step <= t.last)))
        # A constant that several operators read stands in the file once.
        own = [i for i in operator.inputs if i >= 0 and graph.tensors[i].constant and i not in seen]
        weights += [(name, graph.tensors[i].num_bytes) for i in own]
        seen.update(own)
    return weights, memory
