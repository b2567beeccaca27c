"""One of two processes that select together: run, candidates, target and output as arguments."""

from __future__ import annotations

import sys
from pathlib import Path

from rsvqa.model.selecting.selecting import select
from rsvqa.model.selecting.settings import SelectionSettings


def main() -> None:
    """Select with the arguments of the command line."""
    run, data, target, out = sys.argv[1:]
    settings = SelectionSettings(data=(data,), target=(target,), model=run, deals=2, target_questions=10)
    select(settings, Path(out))


if __name__ == "__main__":
    main()
