"""The package `engine` loads its public names when they are used, not when it is imported."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest

import engine
from tests.support.places import ROOT

HEAVY = {"aiohttp", "motor", "pymongo"}
"""What a DAG file must not load: Airflow parses it again and again."""


@pytest.mark.parametrize("statement", ["import engine.settings", "from engine import ConfigError, Settings"])
def test_settings_load_neither_aiohttp_nor_a_driver(statement):
    """Runs in an interpreter of its own, because this one has loaded them already."""
    ask = f"import sys; {statement}; print(*sys.modules)"
    asked = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(asked.stdout.split())


def test_dir_lists_the_public_names_before_they_are_used():
    """Runs in a new interpreter, so that no other test has used a name before."""
    ask = "import engine; print(set(engine.__all__) <= set(dir(engine)), 'HttpExtractor' in vars(engine))"
    asked = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["True", "False"]


def test_every_public_name_is_the_object_of_its_module():
    """And `from engine import *` binds all of them."""
    bound = {}
    exec("from engine import *", bound)
    for name in engine.__all__:
        module = importlib.import_module(bound[name].__module__)
        assert bound[name] is getattr(engine, name) is getattr(module, name)


def test_an_unknown_name_is_an_attribute_error():
    """Worded as by any other module, so that `hasattr` and the import system work."""
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'runs'"):
        engine.runs  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'runs' from 'engine'"):
        exec("from engine import runs")


def test_type_checkers_see_the_same_names_of_the_same_modules():
    """They read the imports under TYPE_CHECKING, which Python never runs."""
    tree = ast.parse((ROOT / "engine" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {name.asname: node.module for node in imports for name in node.names if name.asname}
    assert seen == engine._MODULES
