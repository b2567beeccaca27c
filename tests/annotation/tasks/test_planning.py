"""Routes between described places, told in words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest
from shapely import LineString, Point

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, Road, TileObject
from rsvqa.annotation.layout.road_graph import build_road_graph
from rsvqa.annotation.questions import Question
from rsvqa.annotation.tasks.directions import frame_of
from rsvqa.annotation.tasks.routes import Leg, Place, RoadMap, Route
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    ask,
    make_area,
    make_facts,
    make_object,
    make_road,
    rectangle,
    right_texts,
    square,
)

ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
HEADINGS = {"north": "n", "northeast": "ne", "east": "e", "southeast": "se"}
HEADINGS |= {"south": "s", "southwest": "sw", "west": "w", "northwest": "nw"}


def town(step: int = 200, size: int = 5) -> list[Road]:
    """Return a town of square blocks, its streets named by column and row."""
    last = (size - 1) * step
    lines = [(f"Row {k}", [(x * step, k * step) for x in range(size)]) for k in range(size)]
    lines += [(f"Column {k}", [(k * step, y * step) for y in range(size)]) for k in range(size)]
    assert last < 1000
    return [make_road(name, *points, name=name) for name, points in lines]


def parse(words: str) -> tuple[str, list[tuple[int, str]], int]:
    """Read instructions with a pattern of the test's own."""
    heading = re.match(r"Head (\w+)", words)
    assert heading
    turns = re.findall(r"turn (left|right) at the (\w+) junction", words)
    passed = re.search(r"past (one|\d+) junctions?", words)
    count = 0 if passed is None else 1 if passed[1] == "one" else int(passed[1])
    return HEADINGS[heading[1]], [(ORDINALS[ordinal], turn) for turn, ordinal in turns], count


def walk(start: tuple[float, float], words: str, step: int = 200) -> tuple[tuple[float, float], tuple[float, float]]:
    """Walk through the town block by block; return both ends of the block that the words end in."""
    heading, turns, passed = parse(words)
    dx, dy = {"n": (0, -1), "e": (1, 0), "s": (0, 1), "w": (-1, 0)}[heading]
    x, y = start

    def to_next_junction() -> None:
        nonlocal x, y
        while True:
            x, y = x + dx, y + dy
            assert -1 <= x <= 801
            assert -1 <= y <= 801
            # Corners of the town are bends, not junctions; edges and inner crossings are.
            if x % step == 0 and y % step == 0:
                return

    for ordinal, turn in turns:
        for _ in range(ordinal):
            to_next_junction()
        dx, dy = (-dy, dx) if turn == "right" else (dy, -dx)
    for _ in range(passed):
        to_next_junction()
    begin = (x, y)
    to_next_junction()
    return begin, (x, y)


PLACES = {"silo": (100.0, 200.0), "plane": (700.0, 600.0), "ship": (600.0, 300.0), "house": (200.0, 500.0)}
"""Where on the roads of the town each object is beside."""


def places() -> list[TileObject]:
    """Return one object of each class, 15 px from the middle of a block."""
    return [
        make_object(name, name, square(x + 15 * (x % 200 == 0), y + 15 * (y % 200 == 0)))
        for name, (x, y) in PLACES.items()
    ]


def ends_of(question: Question) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where on the roads a question about the town begins and ends."""
    named = r"the (silo|plane|ship|house)\b(?: nearest to [^?.]*?)?|the point \[(\d+), (\d+)\]"
    text = question.text
    if question.evidence.rule in ("path_that_passes_an_object", "path_away_from_something"):
        text = text.replace(f"the {question.evidence.feature_ids[-1]}", "")  # on the way, or to be avoided
    found = [PLACES[hit[1]] if hit[1] else (float(hit[2]), float(hit[3])) for hit in re.finditer(named, text)]
    assert len(found) == 2, question.text
    return found[0], found[1]


def test_only_the_right_words_lead_there() -> None:
    facts = make_facts(objects=places(), roads=town(), size=900, north_deg=0.0, gsd_m=Gsd(1, 1))
    questions, _ = ask("route_planning", facts, limit=6)
    assert len(questions) == 6
    num_walked = 0
    for question in questions:
        assert check_question(question, width=900, height=900) == ()
        start, goal = ends_of(question)
        arrived: list[bool | None] = []
        for option in question.options:
            try:
                (x_1, y_1), (x_2, y_2) = walk(start, option.text)
            except AssertionError:
                arrived.append(None)  # leaves the town: along a bend that this walker does not take
                continue
            is_between = min(x_1, x_2) <= goal[0] <= max(x_1, x_2) and min(y_1, y_2) <= goal[1] <= max(y_1, y_2)
            arrived.append(is_between)
        right = [option.is_right for option in question.options].index(True)
        if arrived[right] is None:
            continue
        num_walked += 1
        assert arrived[right] is True
        assert [value for index, value in enumerate(arrived) if index != right].count(True) == 0
    assert num_walked >= 2


def test_places_are_described_objects_where_there_are_some() -> None:
    objects = [make_object("a", "silo", square(100, 215)), make_object("b", "plane", square(700, 615))]
    facts = make_facts(objects=objects, roads=town(), north_deg=0.0, gsd_m=Gsd(1, 1))
    (question, *_), _ = ask("route_planning", facts)
    assert {"the silo", "the plane"} & {word for word in ("the silo", "the plane") if word in question.text}
    assert "Head" in right_texts(question)[0]
    assert "on Row" in right_texts(question)[0]


def test_a_long_building_at_a_corner_is_beside_two_roads() -> None:
    # Its end is 12 px from Row 1, its side 26 px from Column 1; its centre is 52 and 36 px from them.
    hall = make_object("h", "house", rectangle(236, 252, 20, 80))
    # Turned round it is beside the row alone: 12 px from it, and 62 px from the column.
    hut = make_object("c", "car", rectangle(300, 222, 76, 20))
    facts = make_facts(objects=[hall, hut], roads=town(), size=900)
    questions = [question for seed in range(3) for question in ask("route_planning", facts, seed=seed, limit=9)[0]]
    assert any("the car" in question.text for question in questions)
    assert not any("the house" in question.text for question in questions)


def test_no_text_tells_where_both_ends_lie() -> None:
    # Ships in the north and in the south: each is the outermost of its class, and nothing else tells them apart.
    ships = [make_object(f"s{y}", "ship", square(100, y)) for y in (215, 615)]
    facts = make_facts(objects=[*places()[:1], *ships], roads=town(), size=900, north_deg=0.0)
    questions = [question for seed in range(4) for question in ask("route_planning", facts, seed=seed, limit=9)[0]]
    assert questions
    for question in questions:
        assert "most ship" not in question.text
        points = [(int(x), int(y)) for x, y in re.findall(r"point \[(\d+), (\d+)\]", question.text)]
        assert len(points) <= 1
        assert all(225 <= side <= 675 for point in points for side in point)  # the middle half of 900 px


def test_a_condition_may_single_out_a_place() -> None:
    # Two houses beside roads; one of them is nearest to the only lake, and neither is described by class or colour.
    houses = [make_object(f"h{x}", "house", square(x, 215)) for x in (300, 700)]
    lake = make_area("lake", "water", square(300, 300, side=60))
    facts = make_facts(objects=houses, areas=[lake], roads=town(), size=900, north_deg=0.0)
    texts = [question.text for seed in range(4) for question in ask("route_planning", facts, seed=seed, limit=9)[0]]
    assert any("the house nearest to the water" in text for text in texts)


def test_shortest_is_only_said_with_a_margin() -> None:
    # In a regular town many ways are equally long.
    facts = make_facts(objects=places(), roads=town(), size=900, north_deg=0.0, gsd_m=Gsd(1, 1))
    questions, _ = ask("route_planning", facts, limit=6)
    assert questions
    for question in questions:
        values = question.evidence.values
        is_clear = values["second_length"] is None or values["second_length"] >= 1.1 * values["length"]
        assert ("shortest" in question.text) == is_clear


def test_the_interpreter_and_the_walker_agree() -> None:
    facts = make_facts(roads=town())
    road_map = RoadMap(build_road_graph(facts.roads, frame_of(facts).scale), frame_of(facts))
    stretches = road_map.graph.stretches
    block = next(i for i, s in enumerate(stretches) if s.geometry.bounds == (200, 400, 400, 400))
    trail = road_map.follow(Place(block, 100.0), Route("e", (Leg(1, "left"), Leg(1, "right")), 0))
    # From (300, 400) east to (400, 400), left (north) to (400, 200), right (east) to (600, 200).
    assert stretches[trail[-1][1].stretch].geometry.bounds == (400, 200, 600, 200)
    assert walk((300, 400), "Head east, turn left at the first junction, then turn right at the first junction") == (
        (400, 200),
        (600, 200),
    )


@pytest.mark.parametrize(
    ("roads", "complete", "reason"),
    [
        ([], None, "no roads"),
        (town(), [], "roads not fully labelled"),
        ([make_road("r", (0, 500), (1000, 500))], None, "no place on a road to go to"),
        # where both ends would be points, their coordinates tell which way to go
        (town(), None, "no place on a road to go to"),
    ],
)
def test_why_no_route_is_asked(roads: list[Road], complete: list[str] | None, reason: str) -> None:
    questions, reasons = ask("route_planning", make_facts(roads=roads, complete=complete))
    assert questions == []
    assert set(reasons) == {reason}


def test_the_same_seed_gives_the_same_routes() -> None:
    facts = make_facts(objects=places(), roads=town(), size=900, north_deg=0.0)
    first, second = (ask("route_planning", facts, seed=7)[0] for _ in range(2))
    assert [dataclasses.astuple(q)[:5] for q in first] == [dataclasses.astuple(q)[:5] for q in second]
    assert first


@pytest.mark.parametrize("key", ["shortest", "any", "closed", "fewest_turns", "passing", "away"])
def test_there_are_ten_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(f"route_planning.{key}"))) >= 10


def test_a_closed_road_is_avoided_by_the_route_that_is_left() -> None:
    facts = make_facts(objects=places(), roads=town(), size=900, north_deg=0.0)
    found = [question for seed in range(12) for question in ask("route_planning", facts, seed=seed, limit=9)[0]]
    detours = [question for question in found if question.evidence.rule == "path_past_a_closed_road"]
    assert detours
    for question in detours:
        assert check_question(question, width=900, height=900, is_chosen=False) == ()
        ((x, y),) = re.findall(r"point \[(\d+), (\d+)\]", question.text)
        # The middle of a block of 200 px: a route that does not use the block comes no nearer than its ends.
        assert question.evidence.geometry is not None
        assert question.evidence.geometry.distance(Point(int(x), int(y))) >= 99
    assert len(detours) < len(found)


def asked_for(rule: str) -> list[tuple[Question, list[str]]]:
    """Return the questions of a rule about the town, with the names of the places in their text."""
    facts = make_facts(objects=places(), roads=town(), size=900, north_deg=0.0, gsd_m=Gsd(1, 1))
    found = [question for seed in range(15) for question in ask("route_planning", facts, seed=seed, limit=9)[0]]
    chosen = [question for question in found if question.evidence.rule == rule]
    for question in chosen:
        assert check_question(question, width=900, height=900, is_chosen=False) == ()
    assert 0 < len(chosen) < len(found)
    return [(question, re.findall(r"the (silo|plane|ship|house)\b", question.text)) for question in chosen]


def fewest_turns(start: tuple[float, float], goal: tuple[float, float]) -> int:
    """Return how many turns it takes in the town at least, by trying all ways block by block."""
    along = (0, 1) if start[0] % 200 == 0 else (1, 0)
    seen: set[tuple[float, float, int, int]] = set()
    wave = {(*start, *along), (*start, -along[0], -along[1])}
    for turns in range(8):
        straight, wave = list(wave), set()
        while straight:
            x, y, dx, dy = state = straight.pop()
            if state in seen or not (0 <= x <= 800 and 0 <= y <= 800):
                continue
            seen.add(state)
            reached = (x + 50 * dx, y + 50 * dy)
            if reached == goal:
                return turns
            straight.append((*reached, dx, dy))
            if reached[0] % 200 == 0 and reached[1] % 200 == 0:
                # a corner of the town is a bend of the only road there, not a junction
                is_corner = {reached[0], reached[1]} <= {0, 800}
                turned = {(*reached, dy, dx), (*reached, -dy, -dx)}
                straight.extend(turned) if is_corner else wave.update(turned)
    raise AssertionError(f"no way from {start} to {goal}")


def test_no_way_has_fewer_turns_than_the_one_asked_for() -> None:
    for question, _ in asked_for("path_of_fewest_turns"):
        (right,) = right_texts(question)
        start, goal = sorted(ends_of(question), key=lambda place: walk_ends(place, right, ends_of(question)))
        assert len(parse(right)[1]) == fewest_turns(start, goal)


def walk_ends(start: tuple[float, float], words: str, ends: Sequence[tuple[float, float]]) -> bool:
    """Return whether words that are followed from one end do not lead to the other."""
    (goal,) = (end for end in ends if end != start)
    try:
        begin, end = walk(start, words)
    except AssertionError:
        return True
    return LineString([begin, end]).distance(Point(goal)) > 1


def test_a_route_passes_what_it_is_to_pass() -> None:
    for question, names in asked_for("path_that_passes_an_object"):
        assert question.evidence.geometry is not None
        via = question.evidence.feature_ids[-1]
        assert via in names
        assert question.evidence.geometry.distance(Point(PLACES[via])) < 1
        assert question.evidence.values["via"] == f"the {via}"


def test_a_route_keeps_away_from_what_it_is_to_avoid() -> None:
    outlines = {item.object_id: item.geometry for item in places()}
    for question, names in asked_for("path_away_from_something"):
        avoided = question.evidence.feature_ids[-1]
        assert avoided in names
        assert question.evidence.geometry is not None
        metres = question.evidence.values["metres"]
        assert f"{metres} m" in question.text
        assert question.evidence.geometry.distance(outlines[avoided]) >= 1.15 * metres
