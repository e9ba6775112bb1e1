"""What ``predict`` reports about images without a mask and files left out."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlffm_segdiff.cli.common import Reporter
from mlffm_segdiff.cli.terminal import say

if TYPE_CHECKING:
    from mlffm_segdiff.inference.reading.listing import ImageFiles


def left_out_counts(found: "ImageFiles", failed: int, refused: int) -> dict[str, int]:
    """Return the numbers of images without a mask and of files left out, for the JSON document."""
    return {
        "failed": failed,
        "refused": refused,
        "not_images": len(found.others),
        "in_subfolders": len(found.nested),
    }


def report_left_out(found: "ImageFiles", table: Path, failed: int, refused: int, reporter: Reporter) -> None:
    """Print how many images and files were left out for which reason."""
    left_out = []
    if found.others:
        endings = ", ".join(sorted({Path(other.name).suffix or other.name for other in found.others}))
        left_out.append(f"{len(found.others)} not images by their extension ({endings})")
    if found.nested:
        folders = len({path.parent for path in found.nested})
        left_out.append(f"{len(found.nested)} images in {folders} subfolders (--recursive includes them)")
    if refused:
        left_out.append(f"{refused} refused as not dermoscopic")
    if failed:
        left_out.append(f"{failed} unreadable (see {table})")
        say(f"left out: {', '.join(left_out)}", err=True)
    elif left_out:
        reporter.warn(f"left out: {', '.join(left_out)}")
