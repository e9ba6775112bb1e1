"""The exception for invalid input."""


class UserError(Exception):
    """Invalid input: one line that names the problem, where it is, and how to fix it.

    The fix follows the last semicolon of the message.
    """

    @property
    def problem(self) -> str:
        """The message without the fix, or all of it if it has none."""
        return str(self).rpartition("; ")[0] or str(self)

    @property
    def fix(self) -> str:
        """How to fix the problem, or the whole message if it names no fix."""
        return str(self).rpartition("; ")[2]
