"""Match masks with images by their file names."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.files.names import utf8_text

MASK_WORDS = ("mask", "masks", "seg", "segmentation", "gt", "groundtruth", "label", "labels", "lesion")
"""Words that a mask's name may end in, after ``_``, ``-``, ``.`` or a space, in any case."""
MASK_PREFIXES = ("mask", "seg", "gt", "label")
"""Words that a mask's name may begin with, before ``_`` or ``-``, in any case."""
ACCEPTED = (
    "a mask may be called like its image, in any case, "
    f"with {', '.join(f'{word}_' for word in MASK_PREFIXES)} before it "
    f"or {', '.join(f'_{word}' for word in MASK_WORDS)} after it"
)
"""The names that `masks_of_images` accepts."""

_SUFFIX = re.compile(rf"(.+)[_\-. ](?:{'|'.join(MASK_WORDS)})", re.IGNORECASE)
_PREFIX = re.compile(rf"(?:{'|'.join(MASK_PREFIXES)})[_\-](.+)", re.IGNORECASE)
_DOUBLE = re.compile(r"(.+)\.(?:jpe?g|png|bmp|tiff?)", re.IGNORECASE)
_COMPANION = re.compile(r".*(?:_superpixels|_attribute_\w+)|thumbs", re.IGNORECASE)
_THUMBNAIL = re.compile(r"(.+)[_-]thumb(?:nail)?s?", re.IGNORECASE)
_COMPANION_FOLDERS = frozenset({"thumbs", "thumbnails", "@eadir"})


def case_id(entry: Entry) -> str:
    """Return the id of a file: its name without the extension, as tables of ids have it.

    That is in Unicode's NFC (macOS writes NFD), as `utf8_text`, and without spaces at its ends.
    """
    return unicodedata.normalize("NFC", utf8_text(Path(entry.name).stem)).strip()


def mask_case_id(stem: str) -> str:
    """Return the id of a mask from its name without extension, removing what marks it as a mask."""
    for pattern in (_SUFFIX, _PREFIX):
        if match := pattern.fullmatch(stem):
            return match[1]
    return stem


def match_key(key: str) -> str:
    """Return an id as it is compared with others: in NFC, without its case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", key).casefold())


class IdLookup:
    """Finds ids as they are written, or in another case if only one id is written so.

    Args:
        ids: The ids.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._spellings: dict[str, set[str]] = defaultdict(set)
        for key in ids:
            self._spellings[match_key(key)].add(key)

    def find(self, name: str) -> str | None:
        """Return the id of this name; None if there is none, or if several differ from it in case only."""
        same = self._spellings.get(match_key(name), set())
        if name in same:
            return name
        return next(iter(same)) if len(same) == 1 else None


def pair_ids(ids: Collection[str], others: Collection[str]) -> dict[str, str]:
    """Pair each id with the other one of the same name, or else the only one that differs in case.

    Args:
        ids: Ids to pair.
        others: Ids to pair them with.

    Returns:
        Other id by id, for the ids that have one.
    """
    known, found = IdLookup(ids), IdLookup(others)
    pairs = ((key, found.find(key)) for key in ids)
    return {key: other for key, other in pairs if other is not None and known.find(other) == key}


def without_companions(entries: Iterable[Entry]) -> list[Entry]:
    """Leave out files that accompany others: superpixels, attributes of ISIC's Task 2, and thumbnails.

    ``a_thumb.png`` is a thumbnail only next to a file ``a``, since lesions are on thumbs too.
    """
    found = [entry for entry in entries if not _is_companion(entry)]
    present = {(_folder(entry), match_key(case_id(entry))) for entry in found}
    thumbnails = ((_THUMBNAIL.fullmatch(case_id(entry)), entry) for entry in found)
    return [
        entry for name, entry in thumbnails if not (name and (_folder(entry), match_key(name[1])) in present)
    ]


def _folder(entry: Entry) -> tuple[Path, str | None]:
    """Return the folder of a file, or the archive and the folder in it."""
    if entry.member is None:
        return entry.path.parent, None
    return entry.path, entry.member.rpartition("/")[0]


def _is_companion(entry: Entry) -> bool:
    *folders, name = (entry.member or f"{entry.path.parent.name}/{entry.path.name}").lower().split("/")
    return bool(_COMPANION.fullmatch(Path(name).stem)) or not _COMPANION_FOLDERS.isdisjoint(folders)


def unique_by_id(entries: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """Return files by id. Raises UserError if two have the same id."""
    found: dict[str, Entry] = {}
    for key, entry in entries:
        if key in found:
            raise UserError(f"{found[key]} and {entry} have the same id {key!r}; rename or remove one")
        found[key] = entry
    return found


def masks_of_images(masks: Iterable[Entry], images: Collection[str]) -> dict[str, Entry]:
    """Return masks by the id of their image, or by `mask_case_id` if none has that name; see `named_case`.

    Args:
        masks: Mask files.
        images: Ids of the images.

    Raises:
        UserError: If two masks are of one image, or no mask has the name of an image.
    """
    lookup = IdLookup(images)
    names = ((named_case(case_id(mask), lookup), mask) for mask in masks)
    found = unique_by_id((lookup.find(name) or name, mask) for name, mask in names)
    if found and found.keys().isdisjoint(images):
        first = min(found)
        raise UserError(
            f"none of the {len(found)} masks, such as {found[first].name}, has the name of an image, "
            f"such as {nearest(first, images) or min(images)}; rename the masks: {ACCEPTED}"
        )
    return found


def nearest(key: str, others: Collection[str]) -> str | None:
    """Return the most similar of other ids, None if none is similar."""
    by_key = {match_key(other): other for other in others}
    close = get_close_matches(match_key(key), by_key, 1)
    return by_key[close[0]] if close else None


def id_hint(key: str, known: Collection[str], otherwise: str = "correct or remove the line") -> str:
    """Return how to correct an id that is not `known`.

    Common mistakes are the file name, another case, and a number whose zeros a spreadsheet removed.

    Args:
        key: Unknown id, as the user gave it.
        known: Ids that exist.
        otherwise: Hint without a similar id.
    """
    stem = Path(key).stem
    if stem in known:
        return f"write {stem!r}, without the extension"
    mistaken = {match_key(one).lstrip("0") for one in (key, stem)}
    same = [one for one in known if match_key(one).lstrip("0") in mistaken]
    return f"write {same[0]!r}" if same else otherwise


def named_case(stem: str, ids: IdLookup) -> str:
    """Return the case that a mask's name means, in any case: one of `ids`, or else `mask_case_id`.

    The whole name is preferred to one without what marks it as a mask: an image may be called "a_lesion".

    Args:
        stem: Name of the mask without its extension.
        ids: Ids of the images, or of other masks.
    """
    named = (name for name in _candidates(stem) if ids.find(name) is not None)
    return next(named, mask_case_id(stem))


def _candidates(stem: str) -> Iterator[str]:
    """Yield the names that the image of a mask may have, the likeliest first."""
    for name in dict.fromkeys((stem, mask_case_id(stem))):
        yield name
        if match := _DOUBLE.fullmatch(name):
            yield match[1]
