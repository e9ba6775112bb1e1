"""Print a Markdown table of what an installation downloads: install_sizes.py [EXTRA ...]

Asks pip for its plan in an empty environment (--dry-run --report) with torch's CPU build, and the servers for
the size of each file. Nothing is installed. Needs an index that has the CPU build; see install_torch.py.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from install_torch import pinned_version

ROOT = Path(__file__).parent.parent
EXTRAS = ("", "train", "app", "dicom", "onnx", "export", "study", "wandb", "mlflow", "all")
MEGABYTE = 1e6


def main(*extras: str) -> None:
    """Print a row for each extra; the empty name is the package without extras."""
    print("| extra | packages | MB |\n|:--|--:|--:|")
    for extra in extras or EXTRAS:
        sizes = [file_size(url) for url in planned_files(extra)]
        print(f"| {extra or 'none'} | {len(sizes)} | {sum(sizes) / MEGABYTE:,.0f} |", flush=True)


def planned_files(extra: str) -> list[str]:
    """Return the URLs of the files that pip would download, without the package's own."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = [f"torch=={pinned_version()}+cpu", f"{ROOT}[{extra}]" if extra else str(ROOT)]
        options = ["--dry-run", "-qqq", "--ignore-installed", "--report", str(report)]
        constraint = ["--constraint", str(ROOT / "constraints.txt")]
        pip = [sys.executable, "-m", "pip", "install"]
        subprocess.run([*pip, *options, *constraint, *wanted], check=True)
        planned = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [one["download_info"]["url"] for one in planned if "archive_info" in one["download_info"]]


def file_size(url: str) -> int:
    """Return the size of a file in bytes, from the server's answer to HEAD or from the disk."""
    if url.startswith("file:"):
        return Path(url2pathname(urlsplit(url).path)).stat().st_size
    with urlopen(Request(url, method="HEAD")) as answer:
        return int(answer.headers["Content-Length"])


if __name__ == "__main__":
    main(*sys.argv[1:])
