"""What training by reward needs: columns to measure a reward by, and the file that binds our scorer to a trainer."""

from __future__ import annotations

from rsvqa.rsvqa_builder.exporting.turns import Turns

SWIFT_REWARD = '''"""The scorer of rsvqa as a reward of ms-swift:

swift rlhf --rlhf_type grpo --external_plugins rsvqa_reward.py --reward_funcs rsvqa
"""

from swift.rewards import ORM, orms

from rsvqa.benchmark.scores.reward import rewards


class RsvqaReward(ORM):
    def __call__(self, completions, **columns):
        return rewards(completions, **columns)


orms["rsvqa"] = RsvqaReward
'''
TRL_REWARD = '''"""The scorer of rsvqa as a reward: GRPOTrainer(reward_funcs=rsvqa_reward.rewards, ...)."""

from rsvqa.benchmark.scores.reward import rewards

__all__ = ["rewards"]
'''
VERL_REWARD = '''"""The scorer of rsvqa as a reward; verl calls `compute_score`."""

from rsvqa.benchmark.scores.reward import reward


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    about = extra_info or {}
    return reward(
        solution_str,
        solution=ground_truth,
        answer_type=about.get("answer_type", "letter"),
        choices=about.get("choices", ""),
    ) or 0.0
'''


def reward_columns(turns: Turns, reply: str) -> dict[str, str]:
    """Return what a reward is measured by; all are texts, as loaders take a column's type from its first rows."""
    record = turns.question.record
    return {
        "solution": reply,
        "answer_type": turns.answer_type,
        # one per line, whatever separates lines within one
        "choices": "\n".join(" ".join(option.split()) for option in record.options),
        "task": record.task,
        "question_id": record.question_id,
        "language": record.language,
    }
