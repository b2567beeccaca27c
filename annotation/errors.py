"""The common base of the errors that a user of rsvqa may meet, and the one that every command knows."""


class RsvqaError(Exception):
    """Something outside our control is wrong; the message says what, on which item, and what to do.

    The command line prints the message as one line and exits with `exit_code`. Subclasses stand beside the code
    that raises them.
    """

    exit_code = 1


class NothingUsableError(RsvqaError):
    """What was given holds nothing to work on, or nothing is left of it; no result has been written."""

    exit_code = 2
