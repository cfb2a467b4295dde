"""A service whose certificate cannot be verified: the run fails at once, and sends no text."""

from __future__ import annotations

import ssl

import pytest

from engine import Status
from tests.support.certificates import make_certificates
from tests.support.ner_service import FaultyService

pytestmark = pytest.mark.asyncio


async def test_an_untrusted_certificate_is_no_outage(work, tmp_path):
    """Waiting for `max_outage_s` (a minute here, a quarter of an hour by default) would not help."""
    await work.fill(20)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(make_certificates(tmp_path).server)

    async with FaultyService(tls=context) as service:
        work.service = service
        report = await work.run(max_outage_s=60.0)

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    assert "certificate verify failed" in report.problems[0]
    assert "pass `tls`, a context that trusts its authority" in report.problems[0]
    assert service.calls == []
