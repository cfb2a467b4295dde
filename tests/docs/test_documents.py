"""The documents tell the truth, and the code keeps the house rules that a machine can check."""

from __future__ import annotations

import ast
import re

import pytest

from engine import Settings
from tests.support.places import ROOT

CODE = [
    path
    for folder in ("engine", "demo", "airflow_dags", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def settings_table():
    """The README's table of settings, from the settings themselves."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        lines.append(f"| `{name}` | {'' if default is None else f'`{default}`'} | {field.description} |")
    return "\n".join(lines)


def test_the_readme_lists_every_setting():
    """With its default and meaning; on failure, the table to put there is shown."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- settings -->\n(.*?)\n?<!-- /settings -->", readme, re.DOTALL)
    assert found
    assert found[1] == settings_table()


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str)
def test_links_between_documents_lead_somewhere(path):
    """Relative links only; the others are the web's business."""
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target


def test_every_setting_has_a_meaning():
    """A table without words helps nobody."""
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_is_over_50_lines(path):
    """The house rule."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 50, f"{path.name}: {node.name}"


def test_the_lock_names_no_host():
    """It must install from whatever index the machine has."""
    assert "://" not in (ROOT / "requirements.lock").read_text()
