"""Command `package`: write our profiles, value sets and examples as a FHIR package."""

import sys
from argparse import Namespace
from pathlib import Path

from fhir_b12.cli.streams import is_device, open_output
from fhir_b12.guide.package import file_name, files, pack_files


def package(arguments: Namespace) -> int:
    """Write the package into a folder or a file, print its path, return the exit code."""
    output: str = arguments.output
    is_file = output == "-" or output.endswith(".tgz") or is_device(output)
    target = Path(output) if is_file else Path(output) / file_name()
    if not is_file:
        target.parent.mkdir(parents=True, exist_ok=True)
    with open_output(str(target)) as stream:
        stream.write(pack_files(files()))
    if output != "-":
        sys.stdout.write(f"{target}\n")
    return 0
