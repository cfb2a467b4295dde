"""The environment of the demo's servers."""

import os
from collections.abc import Mapping

from demo.servers.ports import LOOPBACK

# With an AIRFLOW__DATABASE__SQL_ALCHEMY_CONN of the user's shell, the demo would migrate a real installation.
# Without bytecode files, every process would spend seconds on imports.
_DROPPED = ("AIRFLOW", "PYTHONDONTWRITEBYTECODE")


def server_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of this process, without the variables that would mislead a server of the demo."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), LOOPBACK, "localhost"]))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct}
