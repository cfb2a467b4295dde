"""The environment that the demo's servers get."""

import os
from collections.abc import Mapping

from demo.servers.ports import LOOPBACK

# An AIRFLOW__DATABASE__SQL_ALCHEMY_CONN of the user's shell would have the demo migrate a real installation;
# without bytecode files every process pays seconds of import.
_DROPPED = ("AIRFLOW", "PYTHONDONTWRITEBYTECODE")


def server_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """This process's environment without what would mislead a server of the demo."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), LOOPBACK, "localhost"]))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct}
