"""The manual and the requirements stay in step with the program."""

import re
import tomllib
from collections.abc import Iterable
from itertools import chain

import pytest
import yaml

from docs.outputs import manual
from tests.conftest import ROOT


def test_the_page_of_outputs_is_made_from_the_schemas():
    assert (ROOT / "docs/outputs.md").read_text(encoding="utf-8") == manual()


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Versions of `name==version` lines by lower-case name."""
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s#]+)", line) for line in lines)
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
CONSTRAINTS = pins((ROOT / "constraints.txt").read_text().splitlines())


def test_citation_and_changelog_have_the_version():
    """It is set in pyproject.toml; the program reads it from what is installed."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert citation["version"] == newest[1] == PROJECT["version"]


def test_requirements_are_pinned_and_constrained():
    direct = [line for line in REQUIRED if not line.startswith(PROJECT["name"])]
    assert len(pins(direct)) == len(set(direct)), "each is name==version"
    assert pins(direct).items() <= CONSTRAINTS.items()
    assert not [name for name in CONSTRAINTS if name.startswith(("nvidia", "triton", "cuda"))]


def test_conda_environments_have_the_same_pins():
    known = CONSTRAINTS | {"pytorch": pins(REQUIRED)["torch"]}
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        for line in yaml.safe_load(path.read_text())["dependencies"]:
            name, _, version = line.partition(" =")
            if name != "python":
                assert known[name.replace("_", "-")] == version, f"{path.name}: {line}"


@pytest.mark.parametrize("folder", ["", "config"])
def test_a_manual_and_its_translation_stay_in_step(folder):
    def skeleton(name: str) -> dict[str, list[str]]:
        text = (ROOT / folder / name).read_text(encoding="utf-8")
        # The two name each other at the top; everything else is linked by both.
        links = re.findall(r"\]\(([^)]+)\)", text)
        return {
            "headings": re.findall(r"^#+(?= )", text, re.M),
            "code": re.findall(r"^ {4}\S.*", text, re.M),
            "links": sorted(link for link in links if not link.startswith("README")),
            "items": re.findall(r"^- ", text, re.M),
            "rows": [str(line.count("|")) for line in text.splitlines() if line.startswith("|")],
            "names": sorted(set(re.findall(r"`([^`\n]+)`", text))),
        }

    english, chinese = skeleton("README.md"), skeleton("README.zh-CN.md")
    for part in english:
        assert english[part] == chinese[part], part
    for link in english["links"]:
        assert (ROOT / folder / link.partition("#")[0]).exists(), link


def test_the_readme_shows_all_small_pictures():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = list((ROOT / "docs/images").iterdir())
    assert all(f"(docs/images/{path.name})" in text for path in pictures)
    assert sum(path.stat().st_size for path in pictures) < 1_000_000
