"""The options of the command line: each is a field of a settings model, with its default and its help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from rsvqa import api
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.benchmark.settings import AskModelSettings, BenchSettings, ScoreSettings
from rsvqa.cli import OLD_SPELLINGS, app, in_new_words, with_serve
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, JobSettings
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.files import ElsewhereError
from rsvqa.rsvqa_builder.reviewing.settings import ServerSettings
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.source_settings import load_sources
from tests.run_build import rsvqa

SETTINGS: dict[str, tuple[type[BaseModel], ...]] = {
    "build": (BuildSettings, JobSettings, ExecutionSettings),
    "annotate": (AnnotateSettings, JobSettings),
    "audit": (AuditSettings,),
    "train": (TrainingSettings,),
    "bench": (BenchSettings,),
    "score": (ScoreSettings, JobSettings),
    "ask": (AskModelSettings,),
    "review serve": (QueueSettings, ServerSettings),
    "review export": (QueueSettings,),
}
NEEDED = {"src": "scenes", "model": "random", "data": ["set"], "init": "somewhere"}
FILE_ONLY = {
    "adam_beta2",
    "eval_questions",
    "fill",
    "gradient_checkpointing",
    "group_by_length",
    "language",
    "log_every",
    "max_grad_norm",
    "mixed_groups",
    "scope",
    "tiny",
    "warmup",
    "weight_decay",
}


def all_commands(command: Any, name: str = "") -> dict[str, Any]:
    """Return the commands below one by their names as they are typed."""
    if not hasattr(command, "commands"):
        return {name: command}
    return {
        key: found
        for word, below in command.commands.items()
        for key, found in all_commands(below, f"{name} {word}".strip()).items()
    }


COMMANDS = all_commands(typer.main.get_command(app))
OF_SETTINGS = [
    (name, option, model)
    for name, models in SETTINGS.items()
    for option in COMMANDS[name].params
    for model in models
    if option.name in model.model_fields and not (name == "annotate" and option.name == "data")
]


def needed(model: type[BaseModel]) -> dict[str, Any]:
    values = {name: NEEDED[name] for name, field in model.model_fields.items() if field.is_required()}
    return values | ({"model": "openai:x"} if model in (BenchSettings, AskModelSettings) else {})


def default_in_help(option: Any) -> str | None:
    found = re.search(r"\((?:default: )?([^()]*(?:\([^()]*\))?[^()]*)\)$", option.help)
    return found[1] if found else None


@pytest.mark.parametrize(("command", "option", "model"), OF_SETTINGS, ids=lambda value: getattr(value, "name", None))
def test_the_default_in_the_help_is_the_model_s(command: str, option: Any, model: type[BaseModel]) -> None:
    field, shown = model.model_fields[option.name], default_in_help(option)
    if field.is_required():
        assert shown == "required"
        return
    default = field.get_default(call_default_factory=True)
    if default in (None, ()):
        # what happens then is said in words, where something does
        assert not re.fullmatch(r"[\d.e-]+|PydanticUndefined", shown or "")
        return
    # spelt as in the help, the default is what no option at all gives
    assert shown is not None
    value: Any = shown == "yes" if isinstance(default, bool) else shown
    settings = load_settings(model, needed(model) | {option.name: value})
    assert settings == load_settings(model, needed(model))
    assert getattr(settings, option.name) == default


@pytest.mark.parametrize(("command", "models"), SETTINGS.items())
def test_every_setting_is_an_option(command: str, models: tuple[type[BaseModel], ...]) -> None:
    options = {option.name for option in COMMANDS[command].params}
    first = models[0] if command != "review export" else None
    fields = set(first.model_fields) if first else {"sample", "seed"}
    assert fields - options == fields & FILE_ONLY
    # an option is spelt like its setting, so that a file and a command line say the same
    for option in COMMANDS[command].params:
        if option.name in fields and option.param_type_name == "option":
            assert option.opts == [f"--{option.name.replace('_', '-')}"]


def test_a_help_is_one_sentence_that_begins_with_its_subject() -> None:
    texts = {
        f"{name} {option.opts[0]}": option.help
        for name, command in COMMANDS.items()
        for option in command.params
        if option.param_type_name == "option"
    }
    assert {name: text for name, text in texts.items() if len(re.sub(r" \((default|required).*", "", text)) > 92} == {}
    assert {name: text for name, text in texts.items() if text.startswith(("Of ", "For "))} == {}


@pytest.mark.parametrize(
    ("command", "headings"),
    [
        ("build", {"Scenes", "Labels", "Tiles", "Questions", "Data set", "Workers"}),
        ("annotate", {"Models", "Endpoint", "Cost"}),
        ("train", {"Data", "Recipe", "Run"}),
        ("bench", {"Model", "What is asked", "Endpoint", "Protocol"}),
        ("ask", {"Model", "Endpoint", "Image"}),
    ],
)
def test_settings_stand_under_headings(command: str, headings: set[str]) -> None:
    fields = {name for model in SETTINGS[command] for name in model.model_fields}
    found = {option.rich_help_panel for option in COMMANDS[command].params if option.name in fields}
    assert found == headings


def test_every_option_has_a_help() -> None:
    assert [
        (name, option.name)
        for name, command in COMMANDS.items()
        for option in command.params
        if not getattr(option, "help", None) and not getattr(option, "hidden", False)
    ] == []


def settings_of(monkeypatch: pytest.MonkeyPatch, *words: object) -> BuildSettings:
    """Return what `rsvqa build` with these words would work by."""
    seen: list[BuildSettings] = []

    def stop(settings: BuildSettings, *_: object, **__: object) -> None:
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("rsvqa.rsvqa_builder.build.build", stop)
    assert rsvqa("build", "--out", "set", *words).code == 130
    return seen[0]


def test_switches_override_a_file_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "my.toml"
    config.write_text("src = 's'\nmosaic = true\nstrict = true\n")
    settings = settings_of(monkeypatch, "--config", config, "--no-mosaic")
    assert (settings.mosaic, settings.strict) == (False, True)


def test_what_is_given_reaches_the_settings_as_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--bands", "3,2,1", "--tasks", "OC,OCL=0.5", "--labels", "a,b.gpkg", "--labels", "c", "--min-valid", "0")
    lists = {"bands": [3, 2, 1], "tasks": ["OC", "OCL=0.5"], "labels": ["a,b.gpkg", "c"]}
    expected = load_settings(BuildSettings, {"src": "s", **lists, "min_valid": 0.0})
    assert settings_of(monkeypatch, "--src", "s", *words) == expected


OLD: list[tuple[str, str, list[str]]] = [
    ("build --split 1,0,0", "build --split-shares 1,0,0", ["--split is now --split-shares"]),
    ("train --lora=8 --resume", "train --lora-rank=8 --resume", ["--lora is now --lora-rank"]),
    (
        "bench --keep-boxes --sample 9",
        "bench --no-rewrite-boxes --per-task 9",
        ["--keep-boxes is now --no-rewrite-boxes", "--sample is now --per-task"],
    ),
    (
        "export set --no-overwrite --out o",
        "export --data set --out o",
        ["set is now --data set", "--no-overwrite is now the default: leave it out"],
    ),
    ("review serve --sample 1 set", "review serve --sample 1 --data set", ["set is now --data set"]),
    (
        "--debug review set --overlap 0.1",
        "--debug review serve --data set --double 0.1",
        ["set is now --data set", "--overlap is now --double"],
    ),
    (
        "review import set a.json",
        "review import --data set --from a.json",
        ["set is now --data set", "a.json is now --from a.json"],
    ),
    ("review import --data=set a.json", "review import --data=set --from a.json", ["a.json is now --from a.json"]),
    ("export --help set", "export --help --data set", ["set is now --data set"]),
    # what is no old spelling stays: a value that looks like one, the word's other meaning, runs, mistakes
    ("bench --model --sample --split val", "bench --model --sample --split val", []),
    ("build --overlap 64 --no-mosaic", "build --overlap 64 --no-mosaic", []),
    ("compare one two --shared", "compare one two --shared", []),
    ("biuld export set", "biuld export set", []),
    ("--version", "--version", []),
    ("", "", []),
]


@pytest.mark.parametrize(("words", "meant", "notes"), OLD)
def test_old_spellings_are_taken_with_a_note(words: str, meant: str, notes: list[str]) -> None:
    assert in_new_words(with_serve(words.split())) == (meant.split(), notes)


@pytest.mark.parametrize(
    ("name", "old", "new"), [(name, *pair) for name, spellings in OLD_SPELLINGS.items() for pair in spellings.items()]
)
def test_each_old_spelling_has_an_option_that_takes_its_place(name: str, old: str, new: str) -> None:
    options = {flag for option in COMMANDS[name].params for flag in (*option.opts, *option.secondary_opts)}
    assert old not in options
    assert not new or new in options


def test_an_old_spelling_works_and_says_so_on_stderr(tmp_path: Path) -> None:
    run = rsvqa("export", tmp_path, "--out", tmp_path / "o", "--format", "llawa")
    assert run.lines[0] == f"rsvqa: {tmp_path} is now --data {tmp_path}"
    assert "llawa" in run.lines[1]
    assert (run.code, run.out) == (1, "")


def test_old_words_in_files_are_read(tmp_path: Path) -> None:
    config = tmp_path / "old.toml"
    config.write_text("model = 'random'\nsample = 5\n")
    assert load_settings(BenchSettings, {}, config=config).per_task == 5
    assert load_settings(BenchSettings, {"per_task": 7}, config=config).per_task == 7
    assert BenchSettings.model_validate({"model": "random", "sample": 5}).per_task == 5
    config.write_text("[settings]\nsrc = 's'\nsplit = [0.5, 0.25, 0.25]\n")
    assert load_settings(BuildSettings, {}, config=config).split_shares == (0.5, 0.25, 0.25)
    assert load_settings(BuildSettings, {"split_shares": "1,0,0"}, config=config).split_shares == (1, 0, 0)


def test_the_glossary_has_every_word_that_commands_share() -> None:
    page = (Path(__file__).parent.parent / "docs" / "options.md").read_text("utf-8")
    words, renamed = page.split("## Renamed")
    listed = set(re.findall(r"--[a-z][\w-]*", words.split("## Words")[1]))
    places: dict[str, set[str]] = {}
    for name, command in COMMANDS.items():
        for option in command.params:
            if option.param_type_name == "option":
                places.setdefault(option.opts[0], set()).add(name)
    shared = {flag for flag, names in places.items() if len({name.split()[0] for name in names}) > 1}
    assert shared - listed == set()
    assert listed - set(places) == set()
    for spellings in OLD_SPELLINGS.values():
        for old, new in spellings.items():
            assert new in renamed
            assert not old.startswith("--") or old in renamed


WRITES = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if option.name in ("out", "show", "store")
]


@pytest.mark.parametrize(("name", "option"), WRITES, ids=[f"{name} --{option.name}" for name, option in WRITES])
@pytest.mark.parametrize(
    "address", ["s3://", "s3://bucket/set", "gs://bucket/set", "az://box/set", "file:///set", "/vsis3/bucket/set"]
)
def test_what_is_no_folder_of_this_machine_is_refused_before_anything_is_done(
    name: str, option: Any, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "build" and address[:3] in ("s3:", "gs:", "az:") and address != "s3://":
        pytest.skip("builds write there, see test_buckets.py")
    monkeypatch.chdir(tmp_path)
    others = [other for other in COMMANDS[name].params if other.required and other is not option]
    words = [word for other in others for word in ([other.opts[0], "1"] if other.opts[0].startswith("-") else ["1"])]
    run = rsvqa(*name.split(), *words, f"--{option.name}", address)
    assert run.code == 1
    refused = "s3://: it names no bucket" if address == "s3://" else f"{address} is no folder of this machine"
    assert run.lines[-1].startswith(f"rsvqa: {refused.replace('file:///', 'file://')}")
    assert list(tmp_path.iterdir()) == []


ELSEWHERE = (
    "rsvqa: {}: it is read from this machine alone; copy it into a folder here (`aws s3 sync`, `gcloud storage rsync`, "
    "`rclone copy`), and give that"
)


READS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if not getattr(option, "is_flag", False) and option.name not in ("src", "out", "show", "store", "replies_out")
    if (name, option.name) not in (("annotate", "data"), ("select", "data"), ("select", "target"))
]


@pytest.mark.parametrize(("name", "option"), READS, ids=[f"{name} {option.opts[0]}" for name, option in READS])
def test_what_is_read_from_this_machine_alone_is_refused_in_a_storage(
    name: str, option: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words: list[str] = []
    for other in COMMANDS[name].params:
        if other is option or other.required:
            value = "s3://bucket/set" if other is option else "1"
            words += [other.opts[0], value] if other.opts[0].startswith("-") else [value]
    run = rsvqa(*name.split(), *words)
    assert (run.code, run.out) == (2, "")
    assert run.lines == [ELSEWHERE.format("s3://bucket/set")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("audit --json gs://bucket/set", "gs://bucket/set"),
        ("audit --out page s3://bucket/set/", "s3://bucket/set"),
        ("train --out run --init x --data=az://box/set", "az://box/set"),
        ("bench --model random --data vrsbench-vqa:s3://bucket/set", "s3://bucket/set"),
        ("review --data s3://bucket/set", "s3://bucket/set"),
    ],
)
def test_the_address_of_what_is_refused_is_shown_as_it_was_given(
    words: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert rsvqa(*words.split()).lines == [ELSEWHERE.format(address)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize("words", ["build --out o --src x --labels", "audit", "train --out o --init x --data"])
def test_an_address_without_a_bucket_is_told_so(scheme: str, words: str) -> None:
    (line,) = rsvqa(*words.split(), f"{scheme}:///").lines
    assert line == f"rsvqa: {scheme}://: it names no bucket; expected an address such as {scheme}://bucket/folder"


def test_settings_and_functions_refuse_what_lies_in_a_storage(tmp_path: Path) -> None:
    config = tmp_path / "train.toml"
    config.write_text("data = ['near', 's3://bucket/set']\ninit = 'x'\n")
    for refused in (
        lambda: load_settings(TrainingSettings, {}, config=config),
        lambda: BuildSettings.model_validate({"src": "gs://bucket/in/", "labels": ["s3://bucket/set"]}),
        lambda: api.audit("s3://bucket/set"),
        lambda: api.read(Path("s3://bucket/set")),
        lambda: api.export("s3://bucket/set", tmp_path / "out", format="llava"),
        lambda: api.push("s3://bucket/set", "org/name"),
        lambda: api.compare(tmp_path, "s3://bucket/set"),
        lambda: api.build(out=tmp_path / "out", config="s3://bucket/set/build.toml"),
    ):
        with pytest.raises(ElsewhereError, match=r"s3://bucket/set[^ ]*: it is read from this machine alone"):
            refused()
    assert BuildSettings(src="gs://bucket/in/").src == "gs://bucket/in/"


def test_sources_of_a_sources_file_may_lie_in_a_storage(tmp_path: Path) -> None:
    file = tmp_path / "sources.toml"
    file.write_text("[[source]]\nname = 'a'\nroot = 's3://bucket/a/'\nlink = 's3://bucket/a/readme'\n")
    for src in (str(file), ("s3://bucket/a/", "gs://bucket/b/")):
        first = load_sources(BuildSettings(src=src))[0]
        assert first.settings.src == "s3://bucket/a/"


def test_what_may_stand_in_a_text_is_no_address() -> None:
    settings = load_settings(
        BenchSettings, {"model": "openai:m", "base_url": "http://127.0.0.1:9", "system": "Look at\ns3://bucket/set."}
    )
    assert settings.system == "Look at\ns3://bucket/set."
    assert rsvqa("audit", "no-such-set", "--seed", "1").lines == [
        "rsvqa: no data at no-such-set: expected a folder or a file"
    ]
