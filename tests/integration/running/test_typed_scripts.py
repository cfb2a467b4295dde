"""The scripts of users who check their types run; `make lint` checks the types."""

from __future__ import annotations

import pytest

from tests.support.typed_scripts import with_motor, with_pymongo

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("script", [with_motor, with_pymongo])
async def test_a_script_with_the_types_of_a_driver_runs(pymongo_messages, mongod_uri, script):
    """What mypy accepts in it is what the engine takes."""
    report = await script(mongod_uri, pymongo_messages.database.name)
    assert (report.read, report.reconciled) == (1000, True)
