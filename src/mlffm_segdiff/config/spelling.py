"""Names as users write them: in another case, or as other tools call the same thing."""

import difflib
from collections.abc import Iterable

KEYS = {
    "amp": "train.precision",
    "backbone": "model.encoder",
    "batch": "train.batch_size",
    "batch_size": "train.batch_size",
    "bs": "train.batch_size",
    "checkpoint": "train.init",
    "ckpt": "train.init",
    "devices": "train.devices",
    "encoder": "model.encoder",
    "epochs": "train.images",
    "fp16": "train.precision",
    "gpus": "train.devices",
    "image_size": "data.size",
    "img_size": "data.size",
    "imgsz": "data.size",
    "learning_rate": "train.learning_rate",
    "lr": "train.learning_rate",
    "max_epochs": "train.images",
    "num_epochs": "train.images",
    "num_samples": "sampling.samples",
    "num_workers": "data.workers",
    "optim": "train.optimizer",
    "optimizer": "train.optimizer",
    "pretrained": "train.encoder_init",
    "random_seed": "seed",
    "random_state": "seed",
    "resolution": "data.size",
    "samples": "sampling.samples",
    "seed": "seed",
    "size": "data.size",
    "steps": "sampling.steps",
    "timesteps": "diffusion.train_steps",
    "warmup_steps": "train.warmup",
    "wd": "train.weight_decay",
    "weight_decay": "train.weight_decay",
    "weights": "train.init",
    "workers": "data.workers",
}
"""The recipe's key for words of other tools and for keys without their section."""

SAMPLING_KEYS = {
    **{name: f"sampling.{name}" for name in ("fusion", "logit_spread", "sampler", "widening")},
    **dict.fromkeys(("mirror", "test_time_augmentation", "tta"), "sampling.mirror=true"),
    "second_look": "sampling.second_look=true",
}
"""How to draw masks, by words for it."""

OPTIONS = dict.fromkeys(("accelerator", "cuda", "device", "gpu"), "the option --device")
"""Options for words of other tools that are keys there."""

SIMILAR_KEY, SIMILAR_WORD = 0.8, 0.6
"""Minimum similarity (`difflib`) for a hint: of keys of other sections, of words of the same section."""

MEANINGS = {"train.images": "the number of images seen in the whole run"}


def folded(name: str) -> str:
    """Return a name without its case and separators: ``U-Net`` and ``unet`` are the same."""
    return name.casefold().translate(dict.fromkeys(map(ord, " -_.")))


def known_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that equals ``name`` but for case and separators; otherwise ``name``."""
    names = list(known)
    if name in names:
        return name
    return next((one for one in names if folded(one) == folded(name)), name)


def nearest_key(key: str, keys: Iterable[str]) -> str:
    """Return a hint for a key that does not exist: the nearest valid one, or those of its section."""
    known = list(keys)
    section, _, word = key.rpartition(".")
    own = {one.rpartition(".")[2]: one for one in known if one.rpartition(".")[0] == section}
    close = difflib.get_close_matches(key, set(known) - set(own.values()), 1, SIMILAR_KEY)
    close += [one for name, one in own.items() if name.startswith(word)]
    close += [own[name] for name in difflib.get_close_matches(word, own, 1, SIMILAR_WORD)]
    if close:
        return f"the nearest valid key is {close[0]!r}"
    return f"choose one of {', '.join(own or [one for one in known if '.' not in one])}"


def meant_key(key: str) -> str | None:
    """Return what a user means by a key that does not exist, or None.

    A key in a section, such as ``train.lr``, means one of the same section, or of none.
    """
    section, _, word = key.rpartition(".")
    word = word.replace("-", "_").lower()
    meant = KEYS.get(word, OPTIONS.get(word))
    if meant is None or meant == key or (section not in ("", meant.rpartition(".")[0]) and "." in meant):
        return None
    return f"{meant} ({MEANINGS[meant]})" if meant in MEANINGS else meant
