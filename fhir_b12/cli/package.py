"""`package`: our profiles, value sets and examples as a FHIR package."""

import sys
from argparse import Namespace
from pathlib import Path

from fhir_b12.cli.streams import is_device, sink
from fhir_b12.guide.package import file_name, files, pack_files


def package(arguments: Namespace) -> int:
    """Write the package into a folder, or into the file named; say where."""
    wanted: str = arguments.output
    is_file = wanted == "-" or wanted.endswith(".tgz") or is_device(wanted)
    target = Path(wanted) if is_file else Path(wanted) / file_name()
    if not is_file:
        target.parent.mkdir(parents=True, exist_ok=True)
    with sink(str(target)) as stream:
        stream.write(pack_files(files()))
    if wanted != "-":
        sys.stdout.write(f"{target}\n")
    return 0
