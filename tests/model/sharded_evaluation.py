"""One rank of a job that evaluates and trains a sharded model: `python -m tests.model.sharded_evaluation DATA`.

The ranks have unequal numbers of questions, and images of unequal numbers of cells. Prints the number of replies, by
how much their losses differ from those of the whole model, and by how much a gradient of the tower does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard

from rsvqa.model.data import Collator, list_samples
from rsvqa.model.evaluation import ChosenReply, score_replies
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.tiny import make_tiny
from rsvqa.model.training_settings import TinySettings
from tests.model.make_dataset import TINY
from tests.model.make_models import tiny_inputs, tiny_model

GRIDS = ((1, 1), (2, 3))
"""Cells of the image of each rank."""


def shard(network: GeoLlavaForConditionalGeneration) -> None:
    for layer in (*network.model.vision_tower.encoder.layers, *network.model.language_model.layers):
        fully_shard(layer)
    fully_shard(network)


def compare_replies(data: Path, rank: int) -> tuple[int, float]:
    samples = list_samples([data], split="train")
    texts = [sample.record.question + sample.record.answer for sample in samples]
    whole, sharded = (make_tiny(texts, TinySettings(**TINY), seed=0) for _ in range(2))
    expected = score_replies(whole.model, samples, Collator(whole.processor), batch_size=1)
    shard(sharded.model)
    mine = score_replies(sharded.model, samples, Collator(sharded.processor), batch_size=1, rank=rank, num_ranks=2)
    of_ranks: list[list[ChosenReply]] = [[], []]
    distributed.all_gather_object(of_ranks, mine)
    found = sorted((reply for replies in of_ranks for reply in replies), key=lambda reply: reply.task)
    expected.sort(key=lambda reply: reply.task)
    return len(found), max(abs(one.loss - other.loss) for one, other in zip(found, expected, strict=True))


def compare_gradients(rank: int) -> float:
    whole, sharded = (tiny_model(vision_chunk=2).train() for _ in range(2))
    shard(sharded)
    batches = [tiny_inputs(cells=grid, seed=number) for number, grid in enumerate(GRIDS)]
    for inputs in batches:
        (whole(**inputs, labels=inputs["input_ids"]).loss / 2).backward()
    sharded(**batches[rank], labels=batches[rank]["input_ids"]).loss.backward()
    gradients = [network.model.vision_tower.encoder.layers[0].mlp.fc1.weight.grad for network in (whole, sharded)]
    return float((gradients[0] - gradients[1].full_tensor()).abs().max())


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    print(*compare_replies(Path(sys.argv[1]), rank), compare_gradients(rank))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
