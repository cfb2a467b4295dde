"""Checks the documents against the code."""

from __future__ import annotations

import re

import pytest

from engine import Settings, Tuning
from tests.support.places import ROOT


def settings_table(model, but=()):
    """The table of a page, made from the settings themselves."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in but:
            default = field.get_default(call_default_factory=True)
            lines.append(f"| `{name}` | {'' if default is None else f'`{default}`'} | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "table"),
    [("settings", settings_table(Settings, but={"tuning"})), ("tuning", settings_table(Tuning))],
)
def test_the_pages_of_settings_list_every_setting(name, table):
    """Each has its default and meaning; on failure, pytest shows the right table."""
    page = (ROOT / "docs" / f"{name}.md").read_text()
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", page, re.DOTALL)
    assert found
    assert found[1] == table


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str)
def test_links_between_documents_lead_somewhere(path):
    """Only relative links are checked; addresses on the web are not."""
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target


def anchors(path):
    """The anchors that a page offers: its headings, as GitHub names them, and those set by hand."""
    text = path.read_text()
    headings = re.findall(r"^#+ (.+?)(?: <a id=.*)?$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([\w-]+)">', text))


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str)
def test_anchors_of_links_exist(path):
    """Checks links to a part of a page, on the same page or another one."""
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text()):
        page = path.parent / target if target else path
        assert anchor in anchors(page), f"{target}#{anchor}"


def test_every_setting_has_a_meaning():
    """The tables of settings show its description."""
    fields = [*Settings.model_fields.values(), *Tuning.model_fields.values()]
    assert all(field.description for field in fields)


def test_the_lock_names_no_host():
    """The lock must be installable from whatever package index a machine uses."""
    assert "://" not in (ROOT / "requirements.lock").read_text()
