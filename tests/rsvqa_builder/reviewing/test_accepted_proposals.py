"""What a model proposes becomes a label only where a person accepts it, and says who did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyogrio
import pytest

from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.annotating.annotate import annotate
from rsvqa.rsvqa_builder.label_files.reading import read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.reviewing.drawn_labels import write_labels
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, open_review
from rsvqa.rsvqa_builder.scenes.scene import describe_scene
from tests.annotation.review.running_server import running
from tests.make_sources import SHORE, paint, write_scene
from tests.rsvqa_builder.annotating.test_proposals import PROPOSE, ask
from tests.rsvqa_builder.reviewing.test_drawing import Person
from tests.run_build import build


def test_accepted_proposals_become_labels_and_the_others_never_do(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    scene = tmp_path / "scenes" / "shore.tif"
    write_scene(scene, paint(SHORE, []), SHORE)
    assert build(tmp_path / "scenes", tmp_path / "set").code == 0
    annotate(PROPOSE, tmp_path / "set", tmp_path / "proposed", ask=ask, reporter=QuietReporter())
    with pytest.raises(NothingToReviewError, match="nothing is drawn"):
        write_labels(tmp_path / "proposed", tmp_path / "labels")
    with (
        open_review(tmp_path / "proposed", QueueSettings()) as review,
        running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
    ):
        ann = Person(client)
        (proposal,) = ann.post("draw/proposals")["proposals"]
        assert (proposal["name"], proposal["description"]) == ("boat", "the white boat at the pier")
        assert (proposal["class_name"], proposal["model"]) == ("", "m")  # the table calls it otherwise
        x_min, y_min, x_max, y_max = proposal["box"]
        # 200 to 500 of 1,000 in a crop of 256 px in the upper left corner: 51.2 to 128 px
        assert [round(side, 1) for side in proposal["box"]] == [51.2, 51.2, 128.0, 128.0]
        own: dict[str, Any] = {"class_name": "ship", "form": "box", "points": [[10, 10], [40, 40]]}
        taken = {**own, "points": [[x_min, y_min], [x_max, y_max]], "proposal": proposal["key"]}
        ann.post("draw/change", objects=[{"object_id": "own", "content": own}])
        asked = {"reviewer": "ann", "tile": ann.tile["key"]}
        judged = {**asked, "proposal": proposal["key"]}
        for turn, is_deleted in enumerate((True, False)):
            sent = {**judged, "is_deleted": is_deleted, "request_id": f"turned-down-{turn:08d}"}
            assert client.post("draw/proposal", sent).status == 200
            assert ann.post("draw/proposals")["deleted"] == [proposal["key"]] * is_deleted
        numbers = ann.post("draw/change", objects=[{"object_id": "taken", "content": taken}])["numbers"]
        again = {**asked, "request_id": "a" * 20, "objects": [{"object_id": "again", "content": taken}]}
        refused = client.post("draw/change", again)
        assert (refused.status, refused.json["problems"]) == (
            422,
            [f"the proposal {proposal['key']!r} is accepted already"],
        )
        unknown = {
            **asked,
            "request_id": "b" * 20,
            "objects": [{"object_id": "o", "content": {**own, "proposal": "x"}}],
        }
        assert client.post("draw/change", unknown).json["problems"] == ["no model proposes 'x' on this tile"]
        ben = Person(client, "ben")  # mends the box: it is still ann who accepted it
        mended = {**taken, "points": [[50, 50], [130, 130]]}
        ben.post("draw/change", objects=[{"object_id": "taken", "before": numbers["taken"], "content": mended}])
    assert write_labels(tmp_path / "proposed", tmp_path / "labels").objects == 2
    table = pyogrio.raw.read(tmp_path / "labels" / "shore.gpkg")
    names, columns = list(table[0]["fields"]), table[3]
    assert list(columns[names.index("rsvqa_origin")]) == ["person", "model, accepted by ann"]
    labels = read_labels(
        describe_scene(str(scene), "shore"),
        [tmp_path / "labels" / "shore.gpkg"],
        load_class_table(tmp_path / "labels" / "classes.toml"),
    )
    bounds = [tuple(round(side, 2) for side in geometry.bounds) for geometry in labels.features.geometries]
    assert bounds == [(10, 10, 40, 40), (50, 50, 130, 130)]
    assert not any("origin" in name for found in labels.features.attributes for name in found)
