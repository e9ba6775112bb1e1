"""The command line in this process, and what it may print."""

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from mlffm_segdiff.cli.app import run
from mlffm_segdiff.data.decoder_warnings import ignore_decoder_warnings


class _Printed(logging.Handler):
    """Keeps the records that Python prints to standard error when a program configures nothing."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless its library has a handler of its own."""
        logger = logging.getLogger(record.name)
        while logger.parent is not None and not logger.handlers:
            logger = logger.parent
        if logger.parent is None:
            self.records.append(record)


def run_command(*arguments: str) -> tuple[int, str]:
    """Run a command and return its status and standard output; raises AssertionError for what it prints."""
    logged, printed, messages = _Printed(), io.StringIO(), io.StringIO()
    logging.getLogger().addHandler(logged)
    try:
        with redirect_stdout(printed), redirect_stderr(messages), warnings.catch_warnings(record=True) as raw:
            warnings.simplefilter("default")  # as in a new process
            ignore_decoder_warnings()
            status = run(list(arguments))
    finally:
        logging.getLogger().removeHandler(logged)
    assert not logged.records, f"a library prints its log: {logged.records[0].name}"
    for one in raw:
        place = f"{Path(one.filename).name}:{one.lineno}"
        raise AssertionError(f"a warning of Python is printed: {one.category.__name__} at {place}")
    assert status in (0, 1, 2), f"status {status}"
    assert "Traceback" not in messages.getvalue(), "a traceback is printed"
    assert "\x1b" not in messages.getvalue(), "an escape sequence of a file's name reaches the terminal"
    assert status != 2 or messages.getvalue().startswith("error: "), "no line that says what is wrong"
    return status, printed.getvalue()
