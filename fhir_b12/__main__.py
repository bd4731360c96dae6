"""`python -m fhir_b12`"""

import sys

from fhir_b12.cli import main

if __name__ == "__main__":
    sys.exit(main())
