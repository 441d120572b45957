"""The one error that a user can mend, and how it ends commands of the host."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or value and says how to mend it.

    Commands print the message alone and exit with status 2; everything else that is raised is a fault of ours and
    keeps its traceback.
    """


@contextmanager
def ending_the_program() -> Iterator[None]:
    """For what the host's commands call: a `UserError` is told on stderr and ends the program with status 2."""
    try:
        yield
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
