"""Finds the server programs that Airflow with Celery needs, on PATH or in Debian's packages."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from demo.errors import DemoError

# Debian keeps these out of PATH, in one folder per version. One folder must contain all three.
_POSTGRES = ("initdb", "postgres", "pg_isready")
_DEBIAN = Path("/usr/lib/postgresql")
_PROVIDER = "apache-airflow-providers-celery"

Which = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Programs:
    """The places of the programs.

    Attributes:
        postgres: The folder with `initdb`, `postgres` and `pg_isready` of one version.
        redis: The path of `redis-server`.
    """

    postgres: Path
    redis: Path


def find_programs(which: Which = shutil.which, debian: Path = _DEBIAN) -> Programs:
    """Find the programs of PostgreSQL and Redis, first on PATH, then in Debian's newest package.

    Raises:
        DemoError: A program is missing; the message says what to install.
    """
    postgres, redis = _postgres_folder(which, debian), which("redis-server")
    missing = [
        package for package, found in {"postgresql": postgres, "redis-server": redis}.items() if not found
    ]
    if postgres is None or redis is None:
        raise DemoError(f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}")
    return Programs(postgres, Path(redis))


def require_provider() -> None:
    """Make sure that Airflow's Celery provider is installed.

    Raises:
        DemoError: It is not.
    """
    try:
        metadata.distribution(_PROVIDER)
    except metadata.PackageNotFoundError as error:
        install = "pip install 'keyset-batch-engine[demo,celery]'"
        raise DemoError(f"Airflow's Celery provider is missing: {install}") from error


def _postgres_folder(which: Which, debian: Path) -> Path | None:
    found = which("postgres")
    on_path = [Path(found).resolve().parent] if found else []
    return next((folder for folder in [*on_path, *_newest_first(debian)] if _complete(folder)), None)


def _newest_first(debian: Path) -> Iterable[Path]:
    versions = [folder for folder in debian.glob("*") if folder.name.isdigit()]
    return [folder / "bin" for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True)]


def _complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in _POSTGRES)
