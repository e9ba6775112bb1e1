"""Ways to damage a file: its bytes, its text, the values in JSON and YAML, its name."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

import yaml

Damage = Callable[[Random, bytes, bytes], bytes]
"""Damages data, given another valid file of the same reader."""

EXTREMES = (0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
LONG = "x" * 20_000
HOSTILE_TEXTS = (
    "",
    " ",
    ".",
    "..",
    "../../outside",
    "/etc/passwd",
    "C:\\outside",
    "=cmd|' /C calc'!A0",
    "+1",
    "@sum",
    "-rf",
    "a\nb",
    "a\rb",
    "\x1b]0;title\x07\x1b[31mred",
    "\u202egnp.exe",
    "\ufeffa",
    "La\u0308sion",
    "病变",
    "\x00",
    "<img src=x onerror=alert(1)>",
    '"quoted"',
    "a,b;c\td",
    "%s%n{0}",
    "${oc.env:HOME}",
    "${missing.key}",
    "nan",
    "1e400",
    LONG,
)
ODD_VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    2**31,
    2**63,
    10**40,
    [],
    {},
    [[]],
    [None] * 300,
    {"": {}},
    {"a": {"b": {"c": [1, 2, {"d": None}]}}},
    *HOSTILE_TEXTS,
)
FRAGMENTS = (
    b"[" * 3000,
    b"{a: " * 1500,
    b'{"a":' * 3000,
    b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n",
    b"&a [*a]\n",
    b"!!python/object/apply:os.system ['true']\n",
    b"!!binary x\n",
    b"!!timestamp 9999-99-99\n",
    b"<<: *nothing\n",
    b"? [a, b]\n: c\n",
    b"1: 2\n",
    b"null: null\n",
    b"---\n...\n---\n",
    b"\t",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x80\x81",
    b'"',
    b"'",
    b",",
    b";",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"1e999",
    b"-0x10",
    b"9" * 5000,
)


def damage_bytes(rng: Random, data: bytes, other: bytes) -> bytes:
    """Apply one to eight random damages to the bytes of a file."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        data = rng.choice(BYTE_DAMAGES)(rng, data, other)
    return data


def damage_text(rng: Random, data: bytes, other: bytes) -> bytes:
    """Apply one to four random damages to a text file: fragments, lines, encodings, bytes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(TEXT_DAMAGES)(rng, data, other)
    return data


def damage_values(rng: Random, data: bytes, other: bytes) -> bytes:
    """Change random values of a JSON or YAML file, or damage its text."""
    if rng.random() < 0.3:
        return damage_text(rng, data, other)
    values = yaml.safe_load(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(values))
        if not places:
            break
        _change(rng, *rng.choice(places))
    if rng.random() < 0.02:
        values = rng.choice(ODD_VALUES)
    if data.lstrip()[:1] in (b"{", b"["):
        return json.dumps(values).encode()
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def damage_names(rng: Random, data: bytes, other: bytes) -> bytes:
    """Give members of a zip archive hostile or repeated names, or damage the bytes of the archive."""
    if rng.random() < 0.7:
        return damage_bytes(rng, data, other)
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(written, "w") as new:
        for info in old.infolist():
            name = (
                f"{hostile_name(rng)}.png".replace("\udcff", "\xff") if rng.random() < 0.5 else info.filename
            )
            copied = zipfile.ZipInfo(name)
            copied.compress_type = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
            with warnings.catch_warnings(action="ignore"):  # of a repeated name
                new.writestr(copied, old.read(info))
    return written.getvalue()


def hostile_name(rng: Random) -> str:
    """Return a file name, without folders, that is legal on Linux and awkward elsewhere."""
    names = [text for text in HOSTILE_TEXTS if text.strip(". ") and "/" not in text and "\0" not in text]
    return rng.choice([*names, "CON", "a" * 240, "caf\udcff"])[:240]


def flip_bits(rng: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 16)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def delete_block(rng: Random, data: bytes, other: bytes) -> bytes:
    start, stop = _block(rng, data)
    return data[:start] + data[stop:]


def repeat_block(rng: Random, data: bytes, other: bytes) -> bytes:
    start, stop = _block(rng, data)
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 2, 50)) + data[stop:]


def insert_block(rng: Random, data: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((b"\x00", b"\xff", rng.randbytes(8))) * rng.choice((1, 2, 500)) + data[at:]


def lie_about_length(rng: Random, data: bytes, other: bytes) -> bytes:
    """Write an extreme number over two, four or eight bytes, mostly of the header."""
    size = rng.choice((2, 4, 8))
    if len(data) <= size:
        return data
    end = len(data) - size
    at = rng.randrange(min(end, 512)) if rng.random() < 0.7 else rng.randrange(end)
    number = rng.choice(EXTREMES) % 2 ** (8 * size)
    return data[:at] + number.to_bytes(size, rng.choice(("little", "big"))) + data[at + size :]


def splice(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def insert_fragment(rng: Random, data: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(FRAGMENTS) + data[at:]


def replace_token(rng: Random, data: bytes, other: bytes) -> bytes:
    """Replace a run of bytes without separators by a hostile text."""
    tokens = data.replace(b",", b" ").replace(b":", b" ").split()
    text = str(rng.choice(ODD_VALUES)).encode("utf-8", "surrogatepass")
    return data.replace(rng.choice(tokens), text, rng.choice((1, -1))) if tokens else text


def move_line(rng: Random, data: bytes, other: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    line = lines[rng.randrange(len(lines))]
    if rng.random() < 0.5:
        lines.remove(line)
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def reencode(rng: Random, data: bytes, other: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-8-sig", "utf-32", "utf-7")))


BYTE_DAMAGES: tuple[Damage, ...] = (
    flip_bits,
    truncate,
    delete_block,
    repeat_block,
    insert_block,
    lie_about_length,
    lie_about_length,
    splice,
)
TEXT_DAMAGES: tuple[Damage, ...] = (
    insert_fragment,
    insert_fragment,
    replace_token,
    replace_token,
    move_line,
    reencode,
    *BYTE_DAMAGES,
)


def _block(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 4, 64, 1024)))


def _places(values: Any, levels: int = 30) -> Iterator[tuple[Any, Any]]:
    """Yield each container in nested values, down to some levels, with each of its keys or indices."""
    items = (
        values.items() if isinstance(values, dict) else enumerate(values if isinstance(values, list) else [])
    )
    for key, value in items:
        yield values, key
        if levels:
            yield from _places(value, levels - 1)


def _change(rng: Random, container: Any, key: Any) -> None:
    how, odd = rng.random(), deepcopy(rng.choice(ODD_VALUES))
    if how < 0.6:
        container[key] = odd
    elif how < 0.7:
        del container[key]
    elif how < 0.8:
        container[key] = [container[key]] if rng.random() < 0.5 else {"name": container[key]}
    elif isinstance(container, dict):
        container[rng.choice((*HOSTILE_TEXTS, f"{key}s"))] = container[key]
    else:
        container.extend(container[:] * rng.choice((1, 20)))
