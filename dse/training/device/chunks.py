"""What one compiled program is given: which images of those on the device, in which order, and what is done to them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dse.data.images import Images
from dse.network.training import Training
from dse.training.batches import Batches

# Of one program, about: it costs the host some milliseconds, and what is out of time ends after it. On a processor XLA
# computes a convolution within a loop without its fast kernels.
STEPS = 64 if jax.default_backend() != "cpu" else 1


class Chunks(Batches):
    """The batches of `Batches`, many at a time and by number.

    All batches are whole, and all chunks have as many: what is missing at the end of an epoch are the images of its
    beginning once more.
    """

    def __init__(self, data: Images, training: Training, seed: int) -> None:
        super().__init__(data, training, seed)
        self.size = min(training.batch_size, len(data))
        whole = -(-len(data) // self.size)
        self.chunks = max(1, round(whole / STEPS))
        self.steps_each = -(-whole // self.chunks)
        self.resident = {"images": jnp.asarray(data.images), "labels": jnp.asarray(data.labels.astype(np.int32))}
        if self.weights is not None:
            self.resident["weights"] = jnp.asarray(self.weights)

    @property
    def steps(self) -> int:
        return self.chunks * self.steps_each

    def __len__(self) -> int:
        return self.chunks

    def __getitem__(self, index: int) -> tuple[dict[str, Any]]:  # type: ignore[override]
        """The images, and for every step (steps, batch) numbers of images and changes."""
        steps = []
        for step in range(index * self.steps_each, (index + 1) * self.steps_each):
            chosen = self.order.take(np.arange(step * self.size, (step + 1) * self.size), mode="wrap")
            changes = {name: part for name, part in asdict(self.changes(step, chosen)).items() if part is not None}
            steps.append({"chosen": chosen, **changes})
        stacked = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
        small = {name: part.astype(np.int32) if part.dtype == np.int64 else part for name, part in stacked.items()}
        return ({"data": self.resident, "steps": small},)
