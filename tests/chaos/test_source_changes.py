"""One trial of each change of a source; `make chaos` does 200 at other moments."""

from __future__ import annotations

import pytest

from tests.chaos.outcomes import End
from tests.chaos.source_changes import CHANGES, trial


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", CHANGES)
async def test_a_change_of_the_source_is_survived_or_told(mongod_uri, kind):
    """No run succeeds without the results that it must have, and none hangs or raises a foreign error."""
    outcome = await trial(mongod_uri, kind, seed=len(kind))
    assert outcome.end is not End.WRONG, outcome.detail
