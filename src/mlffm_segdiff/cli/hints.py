"""Hints for options of other tools that a command calls otherwise."""

from typing import Any

from mlffm_segdiff.config.spelling import KEYS, SAMPLING_KEYS
from mlffm_segdiff.inference.outputs.writers import WRITERS

MEANT = {
    "batch": ("batch_size",),
    "checkpoint": ("weights", "resume"),
    "ckpt": ("weights", "resume"),
    "config": ("recipe", "name"),
    "data": ("source", "places"),
    "dataset": ("source", "name"),
    "format": ("graph_format", "maps"),
    "gpu": ("device",),
    "gt": ("truth",),
    "images": ("places",),
    "input": ("places", "source", "masks"),
    "jobs": ("threads",),
    "labels": ("truth",),
    "model": ("weights", "recipe"),
    "out": ("output", "run"),
    "outdir": ("output", "run"),
    "output": ("output", "run"),
    "output-dir": ("output", "run"),
    "pred": ("masks",),
    "predictions": ("masks",),
    "source": ("places",),
    "weights": ("weights",),
    "workers": ("threads",),
}
"""Names of parameters, the likeliest first, by an option of other tools."""
VERBS = {
    "eval": "evaluate",
    "fit": "train",
    "infer": "predict",
    "inference": "predict",
    "score": "evaluate",
    "segment": "predict",
    "test": "evaluate",
    "val": "evaluate",
    "validate": "evaluate",
}
"""Commands by what other tools call them."""


def meant_parameter(option: str, context: Any) -> str | None:
    """Return a command's own name for an option that it does not have, or None.

    Args:
        option: Such as ``--model``.
        context: Typer's context of the command that was called.
    """
    word = option.lstrip("-")
    parameters = {parameter.name: parameter for parameter in context.command.params}
    for name in MEANT.get(word, ()):
        if name in parameters:
            parameter = parameters[name]
            if parameter.param_type_name == "option":
                return str(max(parameter.opts, key=len))
            return f"the argument {parameter.metavar}"
    for name in (word, word.removesuffix("s")):
        if "write" in parameters and name in WRITERS:
            return f"-w {name}"
    word = word.replace("-", "_")
    key = SAMPLING_KEYS.get(word) or KEYS.get(word)
    if key is None:
        return None
    of_sampling = key.startswith("sampling.") and {"sampling", "arguments"} & parameters.keys()
    takes_key = "overrides" in parameters or of_sampling
    if not takes_key:
        return None
    return key if "=" in key else f"{key}=VALUE"
