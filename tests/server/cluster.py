"""`python -m tests.server.cluster COMMAND …`: run a command beside a PostgreSQL of its own.

The cluster lies in a temporary folder, listens on loopback, and goes with the command, which finds
it by FHIR_B12_TEST_POSTGRES. If that is set already, the command runs as it is.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server.temporary import POSTGRES

NEEDED = (
    "PostgreSQL 14 or newer is needed: initdb and pg_ctl are neither on the PATH nor below"
    " /usr/lib/postgresql (Debian's package `postgresql` has them).\n"
    "Or set FHIR_B12_TEST_POSTGRES to the url of an empty database that may be written to."
)


def programs():
    """The folder of PostgreSQL's programs; None where there is none."""
    if (found := shutil.which("pg_ctl")) is not None:
        return Path(found).resolve().parent
    folders = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    return max(
        (path.parent for path in folders), key=lambda path: int(path.parts[-2]), default=None
    )


class Cluster:
    """One that lives as long as the `with`."""

    def __init__(self):
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="fhir-b12-postgres-"))
        # the server refuses to run as root
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def __enter__(self):
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        self.control("start")
        return self

    def __exit__(self, *_):
        self.control("stop", "-m", "immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def control(self, *what):
        """Start, stop, restart."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", log, "-o", options, *what)

    def _run(self, name, *arguments):
        command = [self._programs / name, *arguments]
        more = {"user": self._user} if self._user else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **more)


def main(command):
    if POSTGRES:
        return subprocess.run(command, check=False).returncode
    if programs() is None:
        sys.stderr.write(f"{NEEDED}\n")
        return 2
    with Cluster() as cluster:
        environment = os.environ | {"FHIR_B12_TEST_POSTGRES": cluster.url}
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
