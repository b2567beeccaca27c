"""The task: which state most trees of the image are in."""

from __future__ import annotations

from collections.abc import Iterator

from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.registry import TaskContext, TaskPlugin
from rsvqa.annotation.taxonomy import AnswerForm, TaskInfo

STATES = ("healthy", "dead", "even", "none")


def state_of(num_healthy: int, num_dead: int) -> str:
    """Return the state of most trees, one of `STATES`."""
    if num_healthy == num_dead:
        return "even" if num_healthy else "none"
    return "healthy" if num_healthy > num_dead else "dead"


def ask_tree_health(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask once per tile, where every tree is labelled for sure."""
    facts = context.facts
    trees = [found for found in facts.objects if found.class_name in ("healthy_tree", "dead_tree")]
    if not all(found.is_certain for found in trees):
        yield NotAsked("a tree's label is not certain")
        return
    healthy = [found.object_id for found in trees if found.class_name == "healthy_tree"]
    dead = [found.object_id for found in trees if found.class_name == "dead_tree"]
    right = state_of(len(healthy), len(dead))
    yield Question(
        task="tree_health",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "tree_health.question"),
        options=tuple(Option(context.phrases.text(f"tree_health.{state}"), state == right) for state in STATES),
        evidence=Evidence(
            rule="more_of_one_state",
            feature_ids=(*healthy, *dead),
            values={"healthy": len(healthy), "dead": len(dead)},
        ),
    )


def counts_add_up(question: Question) -> bool:
    """Tell whether the evidence counts every tree that it names."""
    values = question.evidence.values
    return bool(values["healthy"] + values["dead"] == len(question.evidence.feature_ids))


TREE_HEALTH = TaskPlugin(
    info=TaskInfo(
        name="tree_health",
        short="TH",
        level_1="Reasoning",
        level_2="Complex Reasoning",
        level_3="Tree health",
        category="Complex reasoning/Tree health",
        forms=(AnswerForm.ONE_OF,),
        is_own=True,
    ),
    ask=ask_tree_health,
    wording={
        "en": {
            "question": ["What is the state of most trees in the image?", "How are most trees in this image?"],
            "healthy": "most are healthy",
            "dead": "most are dead",
            "even": "as many are healthy as dead",
            "none": "there is no tree",
        }
    },
    checks=(("trees that are not counted", counts_add_up),),
)
