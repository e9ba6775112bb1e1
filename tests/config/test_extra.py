from importlib import metadata

import pytest

from mlffm_segdiff.config import extra
from mlffm_segdiff.config.errors import UserError

REQUIRES = [
    "numpy>=2.4",
    "pytest>=9; extra == 'dev'",
    'absent-one[fast,s3]>=1.0; extra == "remote"',
    "numpy>=2; python_version >= '3.11' and extra == 'remote'",
    "absent.two ; extra == 'docs'",
    "absent.two ; extra == 'all'",
]


class Metadata(dict[str, str]):
    """As an e-mail's headers: one name, several values."""

    def get_all(self, name: str) -> list[str]:
        assert name == "Provides-Extra"
        return ["all", "dev", "remote", "docs", "empty"]


def test_each_extra_names_its_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "metadata", lambda name: Metadata())
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    assert extra.missing_packages() == {
        "dev": [],
        "remote": ["absent-one"],
        "docs": ["absent.two"],
        "empty": [],
    }


def test_the_installed_metadata_is_read() -> None:
    assert extra.missing_packages()["dev"] == []


def test_a_missing_package_is_reported_with_the_line_that_installs_it() -> None:
    with pytest.raises(UserError) as caught, extra.needs_extra("study"):
        import no_such_package  # noqa: F401
    assert str(caught.value) == f"no_such_package is not installed; run: {extra.pip_line('study')}"


class Installed:
    def __init__(self, direct_url: str | None) -> None:
        self.direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.direct_url


@pytest.mark.parametrize(
    ("direct_url", "line"),
    [
        (None, 'pip install "mlffm-segdiff[study]"'),
        ('{"url": "https://example.org/a.whl", "archive_info": {}}', 'pip install "mlffm-segdiff[study]"'),
        ('{"url": "file:///opt/my%20code", "dir_info": {}}', 'pip install "/opt/my code[study]"'),
    ],
)
def test_the_line_fits_the_way_the_package_was_installed(
    monkeypatch: pytest.MonkeyPatch, direct_url: str | None, line: str
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(direct_url))
    assert extra.pip_line("study") == line


def test_a_missing_module_belongs_to_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"dev": [], "study": ["absent-one", "two"], "remote": ["absent-one"]}
    monkeypatch.setattr(extra, "missing_packages", lambda: missing)
    assert extra.extra_of("absent_one.files") == "remote", "the smallest extra that has it"
    assert extra.extra_of("two") == "study"
    assert extra.extra_of("other") is None
