"""Every route against every role: an annotator touches what is his, an expert and a lead everything, others nothing.

The table has an entry per route; a new route without one fails the first test.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from rsvqa.annotation.authoring.parts import authoring_parts
from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import CONTENT, ReviewQuestion
from rsvqa.annotation.review.drawing import DrawingTile, Proposal
from rsvqa.annotation.review.looks import SceneView
from rsvqa.annotation.review.people import People, PersonSettings
from rsvqa.annotation.review.pictures import PicturePlace, picture_key
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.server import create_app
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_drawings import PROPOSAL, TILE, FakeDrawings
from tests.annotation.review.make_questions import COUNTING, GROUNDING, Clock, make_question
from tests.annotation.review.running_server import Answer, Client, FakePictures, running

HIS, OTHER = "a:0_0/OC1", "b:0_0/OC1"
UNDEALT, OTHER_TASK = "a:0_0/OC2", "a:0_0/OP1"
CONTENT_JSON = CONTENT.dump_python(COUNTING, mode="json")
WRITTEN = {
    "task": "overall_counting",
    "question": "How many cars stand in the yard?",
    "options": ["3", "4", "5", "6"],
    "right": [1],
}

Who = Literal["everybody", "his own", "expert", "lead"]


class Entry(NamedTuple):
    """What a route is for: whom it serves, and a request about what is the annotator's and what is not.

    Attributes:
        who: everybody, an annotator on what is his own, an expert or a lead, or a lead alone.
        own: body of a request, or the path of a GET; without what every body holds.
        foreign: the same about each kind of thing that is not his.
    """

    who: Who
    own: Any
    foreign: tuple[Any, ...] = ()


def asked(**fields: Any) -> Entry:
    """Return the entry of a route that names a question."""
    return Entry(
        "his own",
        {"question_id": HIS, **fields},
        tuple({"question_id": name, **fields} for name in (OTHER, UNDEALT, OTHER_TASK, "a:0_0/nothing")),
    )


def drawn(**fields: Any) -> Entry:
    """Return the entry of a route that names a tile."""
    return Entry("his own", {"tile": "tile1", **fields}, ({"tile": "tile2", **fields},))


HIS_PICTURE, OTHER_PICTURE = picture_key("a/0_0.jpg"), picture_key("b/0_0.jpg")
SEEN = Entry("his own", {"picture": HIS_PICTURE}, ({"picture": OTHER_PICTURE}, {"picture": "0" * 24}))


def pictured(path: str) -> Entry:
    """Return the entry of a route whose path names an image."""
    return Entry("his own", path.format(HIS_PICTURE), (path.format(OTHER_PICTURE), path.format("0" * 24)))


TABLE: Mapping[str, Entry] = {
    "POST /api/session": Entry("everybody", {}),
    "POST /api/next": Entry("everybody", {}),
    "POST /api/release": Entry("everybody", {}),
    "POST /api/forget-skips": Entry("everybody", {}),
    "POST /api/summary": Entry("everybody", {}),
    "POST /api/open": Entry("expert", {"question_id": HIS}),
    "POST /api/renew": asked(),
    "POST /api/check": asked(content=CONTENT_JSON),
    "POST /api/answer": asked(answer="A"),
    "POST /api/comment": asked(text="a word"),
    "POST /api/decide": asked(action="skip"),
    "POST /api/undo": Entry("his own", {"number": 1}, ({"number": 2},)),
    "POST /api/view": SEEN,
    "GET /tiles/{key}/{level:int}/{column:int}_{row:int}.jpg": pictured("tiles/{}/3/0_0.jpg"),
    "GET /scenes/{key}/{number:int}/{look}/{level:int}/{column:int}_{row:int}.jpg": pictured(
        "scenes/{}/0/built/3/0_0.jpg"
    ),
    "GET /scenes/{key}/{look}/around.jpg": pictured("scenes/{}/built/around.jpg"),
    "POST /api/draw/tiles": Entry("everybody", {}),
    "POST /api/draw/tile": drawn(),
    "POST /api/draw/change": drawn(),
    "POST /api/draw/questions": drawn(),
    "POST /api/draw/judge": Entry(
        "his own",
        {"tile": "tile1", "question_id": "a:0_0/OC-1", "verdict": "accepted"},
        (
            {"tile": "tile2", "question_id": "b:0_0/OC-1", "verdict": "accepted"},
            {"tile": "tile1", "question_id": "a:0_0/OP-1", "verdict": "accepted"},
        ),
    ),
    "POST /api/draw/templates": drawn(),
    "POST /api/draw/written": drawn(),
    "POST /api/draw/check": drawn(key="k1", content=WRITTEN),
    "POST /api/draw/write": Entry(
        "his own",
        {"tile": "tile1", "key": "k1", "content": WRITTEN},
        (
            {"tile": "tile2", "key": "k1", "content": WRITTEN},
            {"tile": "tile1", "key": "k2", "content": {**WRITTEN, "task": "object_presence"}},
        ),
    ),
    "POST /api/draw/proposals": drawn(),
    "POST /api/draw/proposal": drawn(proposal=PROPOSAL.key, is_deleted=True),
    "POST /api/lead/people": Entry("lead", {}),
    "GET /work.csv": Entry("lead", "work.csv"),
    "POST /api/lead/find": Entry("lead", {}),
    "POST /api/lead/give-back": Entry("lead", {"numbers": [2]}),
    "POST /api/lead/reopen": Entry("lead", {"question_id": HIS}),
    "POST /api/lead/reject-label": Entry("lead", {"label": "a:1", "reason": "broken"}),
    "POST /api/lead/gold": Entry("lead", {"question_id": HIS, "is_gold": False}),
    "POST /api/lead/settle": Entry("lead", {"number": 1}),
    "GET /{name:path}": Entry("everybody", "lead.html"),
}
WITH_REQUEST_ID = (
    *("decide", "comment", "draw/change", "draw/judge", "draw/write", "draw/proposal"),
    *("lead/give-back", "lead/reopen", "lead/reject-label"),
)
WITHOUT_REVIEWER = ("session", "draw/tiles", "lead/people", "view")

PEOPLE = {
    "ann": PersonSettings(scenes=("a",), tasks=("overall_counting",)),
    "eva": PersonSettings(role="expert", scenes=("a",)),
    "lea": PersonSettings(role="lead", tasks=("object_presence",)),
}


class TwoTiles(FakeDrawings):
    """The tile of scene a, and one of scene b."""

    def __init__(self) -> None:
        super().__init__()
        other = replace(TILE, key="tile2", tile_id="b:0_0", scene="b", image="b/0_0.jpg")
        self.tiles = {**self.tiles, other.key: other}


class NoViews:
    """Every image has a scene behind it, with nothing to tell."""

    def view(self, key: str) -> SceneView:  # noqa: ARG002  the protocol's
        return SceneView()

    def tile(self, *what: object) -> bytes:  # noqa: ARG002
        return b"tile"

    def around(self, *what: object) -> bytes:  # noqa: ARG002
        return b"around"


class AnyPictures(FakePictures):
    """Has every image."""

    def tile(self, *what: object) -> bytes:  # noqa: ARG002
        return b"tile"


PLACES = {HIS_PICTURE: PicturePlace("a", "a:0_0"), OTHER_PICTURE: PicturePlace("b", "b:0_0")}


@dataclass(frozen=True)
class Team:
    """Who is there, each with a link: ann decided q1 and then opened what is hers, as her queue gave them to her."""

    store: ReviewStore
    clients: Mapping[str, Client]

    def send(self, name: str, route: str, what: Any, turn: int = 0) -> Answer:
        method, path = route.split(" ", 1)
        client = self.clients[name]
        if method == "GET":
            return client.get(what)
        path = path.removeprefix("/api/")
        body = dict(what) if path in WITHOUT_REVIEWER else {"reviewer": "whoever", **what}
        if path in WITH_REQUEST_ID:
            body["request_id"] = f"request-of-{name}-{turn:08d}"
        return client.post(path, body)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        first = make_question("a:0_0/OC0")
        questions = [
            make_question(HIS),
            make_question(UNDEALT),
            make_question(OTHER, scene="b"),
            make_question(OTHER_TASK, task="object_presence"),
        ]
        store.fill([QueueEntry(question, i, 1, 3) for i, question in enumerate([first, *questions])])
        people = People(store.database)
        tokens = people.update(PEOPLE)
        with running(
            store,
            people=people,
            drawings=TwoTiles(),
            views=NoViews(),
            places=PLACES,
            pictures=AnyPictures(),
        ) as client:
            team = Team(store, {name: client.of(token) for name, token in tokens.items()})
            for question_id in ("a:0_0/OC0", HIS):
                assert team.send("ann", "POST /api/next", {}).json["question"]["question_id"] == question_id
                if question_id != HIS:
                    store.decide(question_id, "ann", "rejected", request_id="of ann")
            store.decide(OTHER, "eva", "rejected", request_id="of eva")
            yield team


def routes() -> list[str]:
    """Return method and path of all that a server answers."""
    with ReviewStore(Path(":memory:")) as store:
        drawings = TwoTiles()
        app = create_app(
            store,
            FakePictures(),
            name="x",
            drawings=drawings,
            views=NoViews(),
            parts=authoring_parts(store, drawings),
        )
        assert isinstance(app, FastAPI)
        assert all(isinstance(route, APIRoute) for route in app.routes)  # nothing is mounted beside them
        return [
            f"{method} {route.path}"
            for route in app.routes
            if isinstance(route, APIRoute)
            for method in sorted(route.methods or ())
        ]


def test_every_route_has_an_entry_in_the_table() -> None:
    assert sorted(routes()) == sorted(TABLE)


@pytest.mark.parametrize("route", TABLE)
def test_each_role_may_do_what_the_table_says(team: Team, route: str) -> None:
    who, own, foreign = TABLE[route]
    may = {"everybody": "ann eva lea", "his own": "ann eva lea", "expert": "eva lea", "lead": "lea"}[who].split()
    for turn, name in enumerate(team.clients):
        status = team.send(name, route, own, turn).status
        if name not in may:
            assert status == 403, name
        elif name == "ann" or who != "his own":
            assert status == 200, name
        else:
            assert status in (200, 404, 409), name  # e.g. another's decision is not his to undo
    for turn, what in enumerate(foreign):
        refused = team.send("ann", route, what, turn + 3)
        if route == "POST /api/undo":
            assert refused.status == 404  # of others there is no decision number 2 of his
            continue
        assert refused.status == 403, what
        assert len(refused.json["problems"]) == 1
        for name in ("eva", "lea"):
            assert team.send(name, route, what, turn + 3).status != 403, (name, what)


def test_nothing_is_stored_of_what_is_refused(team: Team) -> None:
    before = team.store.decisions()
    for name in (OTHER, UNDEALT, OTHER_TASK):
        body = {"question_id": name, "action": "reject", "reason": "not useful"}
        assert team.send("ann", "POST /api/decide", body).status == 403
        assert team.send("ann", "POST /api/comment", {"question_id": name, "text": "x"}).status == 403
        assert team.send("ann", "POST /api/answer", {"question_id": name, "answer": "A"}).status == 403
    assert team.store.decisions() == before
    assert team.store.answers() == ()


def test_what_was_put_before_somebody_stays_his_though_his_claim_has_ended(team: Team) -> None:
    team.store.release("ann")
    body = {"question_id": HIS, "action": "reject", "reason": "not useful"}
    assert team.send("ann", "POST /api/decide", body).status == 200
    again = {**body, "reason": "poor wording"}
    assert team.send("ann", "POST /api/decide", again, 1).status == 200
    assert team.send("ann", "POST /api/undo", {"number": 4}).json["question"]["question_id"] == HIS


def test_what_is_taken_from_his_duty_is_his_no_more(team: Team) -> None:
    people = People(team.store.database)
    people.update({**PEOPLE, "ann": PersonSettings(scenes=("b",))})
    for _ in range(60):  # the running server hears of it in a second
        answer = team.send("ann", "POST /api/renew", {"question_id": HIS})
        if answer.status == 403:
            break
        time.sleep(0.05)
    assert answer.json["problems"] == [
        "the question 'a:0_0/OC1' was not put before ann, or is his no more: load the page anew for the next one"
    ]
    assert team.send("ann", "POST /api/undo", {"number": 1}).status == 403
    assert len(team.store.decisions()) == 2


# --- before the answer -----------------------------------------------------------------------------------------------

KEY_WORD = "XYZZY"
BLIND_BOX = "a:0_0/FVG1"


def blind_question(question_id: str) -> ReviewQuestion:
    """Return a question whose key, evidence and models' answers all say the secret word."""
    note = {"step": "verify", "result": "ok", "answer": KEY_WORD, "model": KEY_WORD}
    evidence = {
        "rule": KEY_WORD,
        "feature_ids": [KEY_WORD],
        "values": {KEY_WORD: KEY_WORD},
        "geometry": "POLYGON ((1 1, 7 1, 7 7, 1 1))",
        "annotation": {"agreement": 0.5, "notes": [note], "reasons": [KEY_WORD]},
    }
    content = replace(COUNTING, options=(), answer=KEY_WORD)
    return make_question(question_id, task="detailed_captioning", content=content, evidence=evidence, source="llm")


class ProposedTile(TwoTiles):
    """Its proposal is a question of the review."""

    def proposals(self, tile: DrawingTile) -> tuple[Proposal, ...]:  # noqa: ARG002
        return (PROPOSAL._replace(key=BLIND_BOX, box=Box(100, 100, 300, 200)),)


def test_no_route_tells_a_key_before_the_answer(tmp_path: Path) -> None:
    """Ann asks everything that there is, about a text, a grounding question of a model, and one that eva wrote."""
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        box = make_question(BLIND_BOX, task="fine_grained_grounding", content=GROUNDING, source="llm")
        asked = [blind_question(HIS), box]
        store.fill([QueueEntry(question, i, 1, 2) for i, question in enumerate(asked)], blind="overlap")
        people = People(store.database)
        tokens = people.update({"ann": PersonSettings(), "eva": PersonSettings(role="expert")})
        with running(store, people=people, drawings=ProposedTile(), views=NoViews(), places=PLACES) as client:
            team = Team(store, {name: client.of(token) for name, token in tokens.items()})
            caption = {"task": "detailed_captioning", "question": "Please describe the yard.", "answer": KEY_WORD}
            stored = team.send("eva", "POST /api/draw/write", {"tile": "tile1", "key": "k9", "content": caption})
            assert stored.status == 200
            store.decide(HIS, "eva", "rejected", request_id="of eva", reason=KEY_WORD)
            shown, seen = [], set()
            for _ in range(3):
                opened = team.send("ann", "POST /api/next", {})
                assert opened.json["is_blind"]
                question_id = opened.json["question"]["question_id"]
                seen.add(question_id.rpartition("-")[0] or question_id)
                shown.append(opened)
                for turn, (route, (_, own, foreign)) in enumerate(TABLE.items()):
                    if route in ("POST /api/answer", "POST /api/decide", "POST /api/forget-skips"):
                        continue
                    for what in (own, *foreign):
                        named = {**what, "question_id": question_id} if "question_id" in what else what
                        shown.append(team.send("ann", route, named, turn))
                store.decide(question_id, "ann", "skipped", request_id=f"skip {question_id}")
            assert seen == {HIS, BLIND_BOX, "a:0_0/DIC"}
            for answer in shown:
                told = json.dumps([dict(answer.headers), answer.body.decode("utf-8", "replace")])
                assert KEY_WORD not in told
                assert "0.3, 0.4" not in told  # the box of the grounding question
                assert "[100.0, 100.0, 300.0, 200.0]" not in told  # as the model proposes it
            # and with the answer it comes
            body = {"question_id": HIS, "answer": "my own words"}
            assert team.send("ann", "POST /api/answer", body).json["question"]["content"]["answer"] == KEY_WORD
            assert KEY_WORD in team.send("eva", "POST /api/draw/written", {"tile": "tile1"}).body.decode()


def test_an_annotator_who_comes_back_to_a_question_does_not_see_what_others_dispute(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(blind_question("a:0_0/DIC1"), 0, 1, 2)], blind="overlap")
        people = People(store.database)
        tokens = people.update({"ann": PersonSettings(), "eva": PersonSettings(role="expert")})
        with running(store, people=people) as client:
            team = Team(store, {name: client.of(token) for name, token in tokens.items()})
            assert team.send("ann", "POST /api/next", {}).json["is_blind"]
            skipped = team.send("ann", "POST /api/decide", {"question_id": "a:0_0/DIC1", "action": "skip"})
            for name, reason in (("cem", "not useful"), ("dan", "")):
                verdict: Any = "rejected" if reason else "accepted"
                after = None if reason else blind_question("x").content
                store.decide("a:0_0/DIC1", name, verdict, request_id=name, reason=reason, after=after)
            back = team.send("ann", "POST /api/undo", {"number": skipped.json["number"]})
            assert back.json["is_blind"]
            assert back.json["opinions"] == []
            assert KEY_WORD not in back.body.decode()
            answered = team.send("ann", "POST /api/answer", {"question_id": "a:0_0/DIC1", "answer": "mine"})
            assert answered.json["opinions"] == []
            opened = team.send("eva", "POST /api/open", {"question_id": "a:0_0/DIC1"})
            assert len(opened.json["opinions"]) == 2


def test_an_annotator_sees_how_he_decided_and_nobody_else(team: Team) -> None:
    own = team.send("ann", "POST /api/summary", {}).json
    assert (own["reviewers"], own["overall"]["verdicts"]["rejected"]) == ({"ann": 1}, 1)
    assert team.send("eva", "POST /api/summary", {}).json["reviewers"] == {"ann": 1, "eva": 1}
