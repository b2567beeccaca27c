"""Makes `caption_reference.json`: what pycocoevalcap 1.2 gives for a few captions, already in tokens.

`pip download pycocoevalcap==1.2 --no-deps`, unzip it, then `PYTHONPATH=FOLDER python caption_reference.py`. Its
scorers of BLEU, ROUGE-L and CIDEr-D are plain Python; the tokenizer and METEOR, which need Java, are not used.
"""

from __future__ import annotations

import json
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu  # type: ignore[import-not-found]
from pycocoevalcap.cider.cider import Cider  # type: ignore[import-not-found]
from pycocoevalcap.rouge.rouge import Rouge  # type: ignore[import-not-found]

CAPTIONS = [
    (
        "the image shows a large forest with a river",
        ["the image shows a big forest and a river", "a river runs through a large forest"],
    ),
    ("many cars are parked beside the white building", ["many cars are parked beside the white building"]),
    ("a road crosses the farmland", ["in the top left part two roads cross the wide farmland from north to south"]),
    (
        "the the the the the the the",
        ["the harbour holds several ships", "ships lie in the harbour", "the ships are in the harbour of the town"],
    ),
    (
        "in the centre a square is surrounded by residential buildings and in the bottom right part a railway runs "
        "along the river so the place is probably the old town",
        [
            "in the centre residential buildings surround a square and a railway runs along the river in the bottom "
            "right part which suggests that this is the old town",
        ],
    ),
    ("nothing", ["an airport with three planes", "three planes stand at the airport"]),
    ("planes planes at the airport", ["three planes stand at the airport", "an airport with three planes"]),
]


def main() -> None:
    """Write the recording beside this file."""
    given = {number: [candidate] for number, (candidate, _) in enumerate(CAPTIONS)}
    right = {number: references for number, (_, references) in enumerate(CAPTIONS)}
    bleu, _ = Bleu(4).compute_score(right, given, verbose=0)
    rouge, rouges = Rouge().compute_score(right, given)
    cider, ciders = Cider().compute_score(right, given)
    recording = {
        "captions": CAPTIONS,
        "bleu": bleu,
        "rouge": float(rouge),
        "rouge_per_sample": [float(value) for value in rouges],
        "cider": float(cider),
        "cider_per_sample": [float(value) for value in ciders],
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
