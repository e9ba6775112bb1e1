"""Time a newcomer's four tasks and write them as a Markdown page: first_hour.py WHEEL PAGE [PIP_OPTION ...]

The wheel is installed into a new virtual environment, in a folder outside the checkout; the tasks run there
one after another: a mask, training on a folder of images, comparing folders of masks, a new model by an entry
point. PIP_OPTIONs go to each installation. The first command that fails ends the run. Needs Linux or macOS.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SHOWN_LINES = 6
SHORT = "train.images=3200 train.validate_every=800 data.workers=0"
TASKS = {
    "Install": ["python tools/install_torch.py", 'pip install -c constraints.txt ".[study]"'],
    "Masks for an image": [
        "mlffm-segdiff demo -o demo",
        "cp src/mlffm_segdiff/samples/sample_1.png lesion.png",
        "mlffm-segdiff predict lesion.png -o masks",
    ],
    "Train on a folder of your own images": [
        "mlffm-segdiff data synthetic -o lesions --count 60 --size 128",
        "mlffm-segdiff data check folder lesions",
        f"mlffm-segdiff train unet --source folder=lesions --run runs/own {SHORT} data.size=64",
        "mlffm-segdiff evaluate runs/own -o scores",
    ],
    "Compare folders of masks": [
        "mlffm-segdiff predict lesions/images -o ours -q",
        "mlffm-segdiff predict lesions/images -o unet --weights runs/own -q",
        "mlffm-segdiff compare --masks default=ours/masks --masks unet=unet/masks --truth lesions/masks"
        " -o compared",
    ],
    "Use a model of your own": [
        "pip install ./examples/own_parts",
        "sed s/side_by_side/folder/ examples/own_parts/recipe.yaml > own.yaml",
        f"mlffm-segdiff train own.yaml --source folder=lesions --run runs/three {SHORT} data.size=64",
        "mlffm-segdiff predict lesion.png -o three --weights runs/three",
    ],
}
HEAD = """# The first hour

A first session in the project's folder and a new virtual environment: the commands, their output and,
after `#`, the time of each. `tools/first_hour.py` ran the commands outside that folder with
the package's wheel, and wrote this page:
{python}, {system}, {cores} CPU cores. Installing took packages from {source}.
The training runs are short, to show the commands and not to give good masks. To save a second folder,
`compare` includes images that the U-Net was trained on; compare real methods on images that none has seen.
"""


def main(wheel: str, page: str, *pip_options: str) -> None:
    """Run the tasks and write the page."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        lines = [HEAD.format(**machine(pip_options))]
        for title, commands in TASKS.items():
            lines += [f"## {title}", "```text"]
            for command in commands:
                lines += [f"$ {command}", *timed(actual(command, wheel, pip_options), folder)]
            lines[-1] = "```\n"
    Path(page).write_text("\n".join(lines), encoding="utf-8")


def machine(pip_options: Sequence[str]) -> dict[str, object]:
    """Return the facts about the machine for the page."""
    source = "the index given to pip" if pip_options else "where pip is set up to look"
    return {
        "python": f"Python {platform.python_version()}",
        "system": platform.system(),
        "cores": os.cpu_count(),
        "source": source,
    }


def actual(command: str, wheel: str, pip_options: Sequence[str]) -> str:
    """Return the command that runs outside the checkout: it installs the wheel, quietly, with the options."""
    command = command.replace('".[', f'"{Path(wheel).resolve()}[')
    command = re.sub(r" (\./)?((examples|src|tools)/|constraints)", rf" {ROOT}/\2", command)
    installs = command.startswith(("pip ", "python "))
    return " ".join([command, "-qqq", *pip_options]) if installs else command


def timed(command: str, folder: Path) -> list[str]:
    """Run a command in the folder and return the last lines of its output and its time.

    Raises:
        CalledProcessError: The command failed; its output is on standard error.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MLFFM"))}
    path = os.pathsep.join([str(folder / "venv" / "bin"), os.environ["PATH"]])
    own = {"PATH": path, "COLUMNS": "100", "MLFFM_SEGDIFF_CACHE": str(folder / "cache")}
    start = time.perf_counter()
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=kept | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)
    last = [line.replace(str(folder), "...").rstrip() for line in done.stdout.splitlines()][-SHOWN_LINES:]
    return [*last, f"# {seconds:.1f} s", ""] if not command.startswith(("cp ", "sed ")) else []


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
