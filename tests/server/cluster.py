"""`python -m tests.server.cluster COMMAND …`: run a command with a temporary PostgreSQL cluster.

The cluster is in a temporary folder, listens on loopback and is deleted after the command. The
command gets its url in FHIR_B12_TEST_POSTGRES. If that is set already, no cluster is started.
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

REQUIRED = (
    "PostgreSQL 14 or newer is required: initdb and pg_ctl are neither on the PATH nor below"
    " /usr/lib/postgresql. Install Debian's package `postgresql`,\n"
    "or set FHIR_B12_TEST_POSTGRES to the url of an empty database for tests."
)


def programs():
    """Return the folder of PostgreSQL's programs; None if they are not installed."""
    if (path := shutil.which("pg_ctl")) is not None:
        return Path(path).resolve().parent
    folders = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    return max(
        (path.parent for path in folders), key=lambda path: int(path.parts[-2]), default=None
    )


class Cluster:
    """A cluster that runs inside a `with` statement."""

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

    def control(self, *command):
        """Run pg_ctl with `start`, `stop` or `restart`, and its options."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        log, data = str(self._folder / "log"), str(self._folder / "data")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, *command)

    def _run(self, name, *arguments):
        command = [self._programs / name, *arguments]
        options = {"user": self._user} if self._user else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **options)


def main(command):
    if POSTGRES:
        return subprocess.run(command, check=False).returncode
    if programs() is None:
        sys.stderr.write(f"{REQUIRED}\n")
        return 2
    with Cluster() as cluster:
        environment = os.environ | {"FHIR_B12_TEST_POSTGRES": cluster.url}
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
