"""The files around the code say what is so: README, Makefile, docs, and the wheel."""

from __future__ import annotations

import os
import re
import runpy
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from requestcov.config import OPTIONS
from requestcov.server.settings import SETTINGS
from tests.project.package import PACKAGE, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
BUILT = bool(os.environ.get("INSTALLED_WHEEL") or os.environ.get("CI"))
built = pytest.mark.skipif(not BUILT, reason="looks at the built wheel: make test")

MAKEFILE = (ROOT / "Makefile").read_text()


@built
def test_the_suite_tests_the_built_wheel():
    """The checkout may hold a file that the wheel lacks."""
    assert Path(sysconfig.get_path("purelib")) in PACKAGE.parents


@built
def test_the_wheel_has_the_package_its_licence_and_its_types_and_nothing_else():
    files = metadata.files("requestcov")
    assert files is not None
    names = {str(file) for file in files if "__pycache__" not in file.parts}
    assert "requestcov/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names if not name.startswith("..")}
    assert tops == {"requestcov", f"requestcov-{metadata.version('requestcov')}.dist-info"}


@built
def test_the_package_needs_coverage_and_nothing_else():
    """Whoever installs it into a production image adds one other package."""
    needed = [line for line in metadata.requires("requestcov") or [] if "extra ==" not in line]
    assert [re.split(r"[^a-z]", line)[0] for line in needed] == ["coverage"]


def test_every_make_command_in_the_pages_is_a_target():
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, page.name


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_names_the_two_commands_a_newcomer_needs(target):
    assert f"make {target}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
            assert heading in anchors, f"{page.name} links to {target}"


def test_the_generated_pages_are_what_the_code_makes():
    for name, make in runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"].items():
        assert (ROOT / "docs" / name).read_text() == make(), f"run make docs: {name} is not up to date"
    for option in OPTIONS:
        assert f"`{option.variable}`" in (ROOT / "docs" / "configuration.md").read_text()


def test_every_key_of_every_answer_is_explained():
    for line in (ROOT / "docs" / "json.md").read_text().splitlines():
        assert not re.fullmatch(r"\| `\w+` \| [^|]+ \|\s+\|", line), f"give this key a meaning: {line}"


def test_every_option_named_in_the_pages_exists():
    known = {option.variable for option in (*OPTIONS, *SETTINGS)}
    for page in PAGES:
        named = set(re.findall(r"\bREQUESTCOV_[A-Z_]*[A-Z]", page.read_text()))
        assert named <= known, page.name


def test_the_changelog_has_the_version_in_the_making():
    version = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_page_or_script_names_a_machines_own_path():
    """What is committed works wherever it is cloned."""
    for path in [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("tools/*")]:
        found = re.search(r"/(?:home|root|work|Users)/\w", path.read_text())
        assert not found, f"{path.name}: {found}"
