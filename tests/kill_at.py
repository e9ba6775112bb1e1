"""Source text for a new process that is killed at a call."""

KILL_AT = """
import os, signal
from importlib import import_module

def kill_at(module, name, count):
    # kill_at("package.module", "Class.method", 2) kills this process at the second call
    *path, last = name.split(".")
    owner = import_module(module)
    for part in path:
        owner = getattr(owner, part)
    kept, calls = getattr(owner, last), []

    def deadly(*arguments, **named):
        calls.append(None)
        if len(calls) == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return kept(*arguments, **named)

    setattr(owner, last, deadly)
"""
