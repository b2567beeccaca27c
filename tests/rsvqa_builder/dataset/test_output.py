"""The output folder: locked, resumed, refused, replaced."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w

from rsvqa.rsvqa_builder.dataset.output import (
    Fingerprint,
    OutputFolder,
    OutputState,
    StoredShard,
    describe_changes,
    portable,
    why_unfinished,
)
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.locks import LOCK

FINGERPRINT: Fingerprint = {
    "settings": {"seed": 0, "tile_size": None},
    "versions": {"rsvqa": "1"},
    "inputs": {"a.tif": [10, 1_700_000_000]},
}
CHANGED: Fingerprint = {**FINGERPRINT, "settings": {"seed": 1, "tile_size": None}}


def make_ready(output: OutputFolder, *, shard: str = "train-00000-of-00001.parquet", text: str = "new") -> None:
    (output.ready / "data").mkdir(parents=True)
    (output.ready / "data" / shard).write_text(text)
    (output.ready / "README.md").write_text(text)
    (output.ready / "build.toml").write_text(tomli_w.dumps(portable(FINGERPRINT)))


def finish(path: Path, shard: str = "train-00000-of-00001.parquet") -> None:
    with OutputFolder(path) as output:
        output.begin(FINGERPRINT, overwrite=True)
        make_ready(output, shard=shard)
        output.commit()


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "a" / "b") as output:
        assert output.begin(FINGERPRINT, overwrite=False) is OutputState.NEW


def test_a_second_build_into_the_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with OutputFolder(tmp_path), pytest.raises(OutputError, match="another build is writing"), OutputFolder(tmp_path):
        pass
    with OutputFolder(tmp_path) as output:
        assert output.begin(FINGERPRINT, overwrite=False) is OutputState.NEW


def test_an_interrupted_build_is_resumed(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        (output.work / "kept").touch()
    with OutputFolder(tmp_path) as output:
        assert output.begin(FINGERPRINT, overwrite=False) is OutputState.RESUMED
        assert (output.work / "kept").exists()


def test_what_a_killed_build_was_writing_is_removed_and_never_part_of_a_data_set(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output)
        torso = output.ready / "data" / ".train-00000-of-00001.parquet.host-1-0123abcd.partial"
        torso.write_bytes(b"half")
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        assert not torso.exists()
        output.commit()
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["README.md", "build.toml", "data/train-00000-of-00001.parquet"]


def test_changed_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        (output.work / "tiles").mkdir()
        (output.work / "tiles" / "0000000.json").touch()
        with pytest.raises(OutputError, match=r"unfinished build made otherwise: seed was 0, is 1\. .*`overwrite`"):
            output.begin(CHANGED, overwrite=False)


def test_a_build_that_has_done_no_tile_is_simply_begun_anew(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        assert output.begin(CHANGED, overwrite=False) is OutputState.NEW


def test_overwrite_begins_anew(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        (output.work / "old").touch()
        assert output.begin(CHANGED, overwrite=True) is OutputState.NEW
        assert not (output.work / "old").exists()


def test_a_finished_data_set_is_recognised_whatever_its_inputs_times(tmp_path: Path) -> None:
    finish(tmp_path)
    touched = {**FINGERPRINT, "inputs": {"a.tif": [10, 1_800_000_000]}}
    with OutputFolder(tmp_path) as output:
        assert output.begin(touched, overwrite=False) is OutputState.COMPLETE


def test_a_finished_data_set_of_other_inputs_is_refused(tmp_path: Path) -> None:
    finish(tmp_path)
    other = {**FINGERPRINT, "inputs": {"a.tif": [11, 1_700_000_000], "b.tif": [5, 0]}}
    with OutputFolder(tmp_path) as output, pytest.raises(OutputError, match=r"a\.tif has changed; input b\.tif is new"):
        output.begin(other, overwrite=False)


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with OutputFolder(tmp_path) as output, pytest.raises(OutputError, match="holds no data set of rsvqa"):
        output.begin(FINGERPRINT, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_old_data_set_stays_until_the_new_one_is_whole_and_foreign_files_stay_for_ever(tmp_path: Path) -> None:
    finish(tmp_path, shard="train-00000-of-00002.parquet")
    (tmp_path / "data" / "notes.txt").write_text("mine")
    with OutputFolder(tmp_path) as output:
        output.begin(CHANGED, overwrite=True)
        assert (tmp_path / "data" / "train-00000-of-00002.parquet").exists()
        make_ready(output)
        output.commit()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["notes.txt", "train-00000-of-00001.parquet"]
    assert not (tmp_path / ".rsvqa").exists()


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_kill_while_moving_into_place_is_completed_by_the_next_build(tmp_path: Path, moved: int) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output)
        names = ["README.md", "data/train-00000-of-00001.parquet", "build.toml"]
        shard = output.work / "shards" / "0123.parquet"  # one that a worker has made
        shard.parent.mkdir()
        (output.ready / names[1]).replace(shard)
        places = {name: shard if name == names[1] else output.ready / name for name in names}
        told = {name: str(place.relative_to(output.work)) for name, place in places.items()}
        (output.work / "committing.json").write_text(json.dumps(told))
        (tmp_path / "data").mkdir()
        for name in names[:moved]:
            places[name].replace(tmp_path / name)
    with OutputFolder(tmp_path) as output:
        assert output.begin(FINGERPRINT, overwrite=False) is OutputState.COMPLETE
    assert (tmp_path / "data" / "train-00000-of-00001.parquet").read_text() == "new"
    assert not (tmp_path / ".rsvqa").exists()


def test_shards_of_workers_are_named_and_sealed_by_what_was_found_when_they_were_made(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output)
        (output.work / "shards").mkdir()
        (output.work / "shards" / "0123.parquet").write_text("questions")
        output.commit([StoredShard("tiles/val-00000-of-00001.parquet", "shards/0123.parquet", 9, "abcd")])
    assert (tmp_path / "tiles" / "val-00000-of-00001.parquet").read_text() == "questions"
    files = tomllib.loads((tmp_path / "build.toml").read_text())["files"]
    assert list(files) == ["README.md", "data/train-00000-of-00001.parquet", "tiles/val-00000-of-00001.parquet"]
    assert files["tiles/val-00000-of-00001.parquet"] == {"bytes": 9, "sha256": "abcd"}


def test_many_changes_are_summed_up() -> None:
    inputs = {f"{number}.tif": [1, 1] for number in range(10)}
    changes = describe_changes(FINGERPRINT, {**FINGERPRINT, "inputs": inputs}, most=2)
    # ten are new and a.tif is gone: eleven in all
    assert changes == ["input 0.tif is new", "input 1.tif is new", "and 9 more"]


def test_who_was_taken_for_dead_by_another_machine_moves_nothing_into_place(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output)
        (tmp_path / LOCK / "writer.json").write_text("another build")
        with pytest.raises(OutputError, match=r"has taken .* over while this machine could not be reached"):
            output.commit()
    assert not (tmp_path / "build.toml").exists()
    assert (tmp_path / LOCK / "writer.json").read_text() == "another build"


def test_the_last_file_tells_the_size_and_digest_of_the_others(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output, text="abc")
        (output.ready / "annotate_report.json").write_text("{}")
        output.commit()
    # FIPS 180-4 gives the SHA-256 of "abc"
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert tomllib.loads((tmp_path / "build.toml").read_text())["files"] == {
        "README.md": {"bytes": 3, "sha256": digest},
        "data/train-00000-of-00001.parquet": {"bytes": 3, "sha256": digest},
    }
    with OutputFolder(tmp_path) as output:
        assert output.begin(FINGERPRINT, overwrite=False) is OutputState.COMPLETE


def test_files_are_read_once_the_data_set_is_finished_and_as_long_as_they_are_whole(tmp_path: Path) -> None:
    name = "data/train-00000-of-00001.parquet"
    with OutputFolder(tmp_path) as output:
        output.begin(FINGERPRINT, overwrite=False)
        make_ready(output)
        (tmp_path / "data").mkdir()
        (tmp_path / name).write_text("new")  # as a kill in the middle of the move leaves it
        assert why_unfinished(tmp_path, [name]) == (
            f"{tmp_path} is not finished: repeat the command that writes it, which goes on from here"
        )
        output.commit()
    assert why_unfinished(tmp_path, [name]) is None
    (tmp_path / name).write_text("ne")
    assert why_unfinished(tmp_path, [name]) == (
        f"{tmp_path / name} has 2 bytes, and build.toml says 3: copy the data set again"
    )
    (tmp_path / "build.toml").write_text("torn = ")
    assert str(why_unfinished(tmp_path, [name])).startswith(f"cannot read {tmp_path / 'build.toml'}: ")
    (tmp_path / "build.toml").unlink()
    assert why_unfinished(tmp_path, [name]) is None, "nothing is known of a folder of shards alone"
