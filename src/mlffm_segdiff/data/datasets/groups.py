"""Groups of images, such as those of a lesion or a patient, in your own data."""

from collections.abc import Collection, Mapping

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.mask_names import id_hint
from mlffm_segdiff.data.datasets.pairing import Listing
from mlffm_segdiff.files.csv_columns import read_rows

GROUPS = "groups.csv"


def groups_tables(listing: Listing) -> dict[str, Entry]:
    """Return the outermost groups.csv by its path; empty without one.

    Raises:
        UserError: If several are equally far out.
    """
    found = [entry for entry in listing.entries if entry.name.lower() == GROUPS]
    least = min(map(_depth, found), default=0)
    tables = {str(entry): entry for entry in found if _depth(entry) == least}
    if len(tables) > 1:
        first, second = sorted(tables)[:2]
        raise UserError(f"{first} and {second} are both tables of groups; keep one")
    return tables


def read_groups(tables: Mapping[str, Entry], known: Collection[str]) -> dict[str, str]:
    """Read groups by id from `groups_tables` (id,group).

    Raises:
        UserError: If a line is invalid, its id is not among the `known` ones, or a group has the name of an
            image without a line, which is a group of its own.
    """
    found: dict[str, str] = {}
    for name, table in tables.items():
        for line, (key, group) in read_rows(table.read(), name, ("id", "group")):
            if key not in known:
                raise UserError(f"{name}, line {line}: no image has the id {key!r}; {id_hint(key, known)}")
            if found.setdefault(key, group) != group:
                raise UserError(f"{name}, line {line}: {key!r} is in two groups; keep one line")
        for key, group in found.items():
            if group in known and group not in found:
                raise UserError(
                    f"{name}: the group {group!r} of {key!r} has the name of an image that has no line; "
                    f"add the group of the image {group!r}, or rename the group"
                )
    return found


def _depth(entry: Entry) -> int:
    """Return the number of folders around a file, an archive being a folder."""
    return len(entry.path.parts) + (0 if entry.member is None else entry.member.count("/") + 1)
