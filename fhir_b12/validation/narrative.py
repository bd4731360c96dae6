"""The XHTML of a narrative: safely parsed and judged.  https://hl7.org/fhir/R4/narrative.html"""

import re
from collections.abc import Iterator

_ANCHOR = re.compile(r"""(?:href|src)\s*=\s*["']#([^"']*)["']""")


def anchors(div: str) -> Iterator[str]:
    """The ids that links and images of a narrative name by `#`."""
    yield from _ANCHOR.findall(div)
