"""The journal of an output folder: the files of its run, and the result of each image."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path, PurePath

from mlffm_segdiff.config.errors import partly_written
from mlffm_segdiff.files.atomic import atomic_write, sweep_unfinished, unwritable
from mlffm_segdiff.files.results_folder import remove_results, require_own
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.outputs.predictions import Intervals, Row
from mlffm_segdiff.inference.outputs.writers import Kept

JOURNAL = ".predict.jsonl"


@dataclass(frozen=True)
class Record:
    """Result of a run for one image.

    Attributes:
        row: Table row of the image.
        key: Digest of the image and of all settings, see `Journal.key_of`; empty for a failed image.
        files: SHA-256 of each of its files, by path in the output folder.
        kept: Values that `Writer.write` returned, by the name of the output.
    """

    row: Row
    key: str = ""
    files: Mapping[str, str] | None = None
    kept: Mapping[str, Kept] | None = None


class Journal:
    """Lists the files of a run before they are written, so that a later run can replace or resume it.

    The first line of the file has the settings and all files of the run; each further line is a `Record`.

    Args:
        folder: Folder of the results.
        cases: Files of each image by its stem, relative to the folder, in the order of the images.
        run_files: Files for all images, relative to the folder.
        settings: All that the results depend on, besides the images; empty if that is unknown.
    """

    def __init__(
        self, folder: Path, cases: Mapping[str, tuple[str, ...]], run_files: Iterable[str], settings: str
    ) -> None:
        self._folder, self._path = folder, folder / JOURNAL
        self._cases, self._settings = cases, settings
        self._planned = [*run_files, *(name for names in cases.values() for name in names)]
        self._places: dict[str, tuple[int, int]] = {}
        self._resumed = False

    def start(self, resume: bool) -> None:
        """Remove the results of the folder's earlier run, but with `resume` keep what may be used again.

        Raises:
            UserError: A file that the run will write is not one of an earlier run's.
            StoppedError: The folder cannot be written, and results of an earlier run may be removed already.
        """
        settings, own, places = self._read()
        require_own(self._folder, self._planned, own)
        if resume and self._settings and settings == self._settings:
            self._places = {stem: place for stem, place in places.items() if stem in self._cases}
        self._resumed = bool(self._places)
        kept = {name for stem in self._places for name in self._cases[stem]}
        with partly_written() if own else nullcontext():
            for parent in {PurePath(name).parent for name in self._planned}:
                sweep_unfinished(self._folder / parent)
            remove_results(self._folder, [name for name in own if name not in kept])
            self._write()

    def key_of(self, name: str, data: bytes) -> str:
        """Return the digest of an image's file name and content, and of the settings."""
        digest = sha256(self._settings.encode())
        digest.update(os.fsencode(name))
        digest.update(data)
        return digest.hexdigest()

    def find(self, stem: str, key: str) -> Record | None:
        """Return the record of an image that need not be segmented again: its files are as they were written.

        Otherwise, the files of an earlier run are removed.
        """
        if stem not in self._places:
            return None
        record = _parse(self._line(self._path, self._places[stem]))
        if record.key == key and record.row.status == "done" and record.files == self.digests(stem):
            return record
        self.discard(stem)
        return None

    def discard(self, stem: str) -> None:
        """Remove the files of an earlier run of an image that will not be used again."""
        if self._places.pop(stem, None):
            remove_results(self._folder, self._cases[stem])

    def digests(self, stem: str) -> dict[str, str]:
        """Return the SHA-256 of each file of an image that can be read."""
        found = {}
        for name in self._cases[stem]:
            with suppress(OSError), (self._folder / name).open("rb") as file:
                found[name] = file_digest(file, "sha256").hexdigest()
        return found

    def add(self, record: Record) -> None:
        """Add the record of an image unless it failed. Raises UserError if it cannot be written."""
        stem = record.row.stem
        if record.row.failed or stem in self._places:
            return
        line = json.dumps(asdict(record)).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                start = file.tell()
                file.write(line)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._places[stem] = start, len(line)

    def finish(self) -> None:
        """Sort the records by the order of the images, as an uninterrupted run writes them."""
        if self._resumed:
            self._write()

    def _write(self) -> None:
        places = {}
        with atomic_write(self._path) as temporary, temporary.open("wb") as file:
            file.write(json.dumps({"settings": self._settings, "files": self._planned}).encode() + b"\n")
            for stem in self._cases:
                if stem in self._places:
                    line = self._line(self._path, self._places[stem])
                    places[stem] = file.tell(), len(line)
                    file.write(line)
        self._places = places

    def _read(self) -> tuple[str, dict[str, None], dict[str, tuple[int, int]]]:
        """Return settings, files and places of records of the file; a line cut off by a kill is left out."""
        places: dict[str, tuple[int, int]] = {}
        try:
            with self._path.open("rb") as file:
                head = json.loads(file.readline())
                settings, files = head["settings"], dict.fromkeys(map(str, head["files"]))
                start = file.tell()
                for line in file:
                    with suppress(ValueError, KeyError, TypeError):
                        places[_parse(line).row.stem] = start, len(line)
                    start += len(line)
        except (OSError, ValueError, KeyError, TypeError):  # no journal, or not one of this program
            return "", {}, {}
        return settings, files, places

    @staticmethod
    def _line(path: Path, place: tuple[int, int]) -> bytes:
        start, length = place
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def _parse(line: bytes) -> Record:
    values = json.loads(line)
    row = values.pop("row")
    measures, intervals = row.pop("measures"), row.pop("intervals")
    found = Row(**row, measures=measures and LesionMeasures(**measures), intervals=Intervals(**intervals))
    return Record(found, **values)
