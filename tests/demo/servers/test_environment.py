"""What the demo's servers inherit from the user's shell."""

from demo.servers.environment import server_environment


def test_the_users_own_airflow_is_out_of_reach():
    """A real installation's settings must not lead the demo to its database."""
    environment = server_environment(
        {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://prod", "HOME": "/h"}
    )
    assert not [name for name in environment if name.startswith("AIRFLOW")]
    assert environment["HOME"] == "/h"


def test_bytecode_is_written():
    """Without it every process pays seconds of import."""
    assert "PYTHONDONTWRITEBYTECODE" not in server_environment({"PYTHONDONTWRITEBYTECODE": "1"})


def test_proxies_do_not_stand_before_the_loopback_interface():
    """What the user excludes stays excluded, and this machine is too."""
    environment = server_environment({"http_proxy": "http://proxy", "no_proxy": "intra.example"})
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intra.example,127.0.0.1,localhost"
