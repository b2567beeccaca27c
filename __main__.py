"""`python -m rsvqa` is the command `rsvqa`; so `torchrun -m rsvqa` and `accelerate launch -m rsvqa` start it too."""

from rsvqa.cli import main

if __name__ == "__main__":  # spawned workers import this module under another name
    main()
