from pathlib import Path


def file_content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by name, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def folder_content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by name, and its subfolders as empty ones, hidden ones too."""
    subfolders = {
        path.relative_to(folder).as_posix(): b"" for path in folder.rglob("*") if not path.is_file()
    }
    return subfolders | file_content(folder)
