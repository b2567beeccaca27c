"""One rank of a job that shards a tiny model as `docs/accelerate/fsdp.yaml` does; see `test_wrapped_layers.py`.

Prints by how much the logits, and the gradients of the tower's first layer, differ from those of the whole model.
"""

from __future__ import annotations

import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from tests.model.make_models import tiny_inputs, tiny_model


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    whole, sharded = (tiny_model(affinity="learned").train() for _ in range(2))
    body = sharded.model
    for layer in (*body.vision_tower.encoder.layers, *body.language_model.layers):
        fully_shard(layer)
    fully_shard(sharded)
    inputs = tiny_inputs(cells=(2, 4))
    differences = []
    outputs = [network(**inputs, labels=inputs["input_ids"]) for network in (whole, sharded)]
    differences.append(float((outputs[0].logits - outputs[1].logits).abs().max()))
    for output in outputs:
        output.loss.backward()
    gradients = [network.model.vision_tower.encoder.layers[0].mlp.fc1.weight.grad for network in (whole, sharded)]
    assert isinstance(gradients[1], DTensor)
    differences.append(float((gradients[0] - gradients[1].full_tensor()).abs().max()))
    print(*differences)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
