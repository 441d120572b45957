"""The one error that a user can mend."""


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or value and says how to mend it.

    Commands print the message alone and exit with status 2; everything else that is raised is a fault of ours and
    keeps its traceback.
    """
