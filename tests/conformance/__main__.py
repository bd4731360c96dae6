"""`python -m tests.conformance`: print the agreement with the reference validator, and the differences."""

import sys
import time
import traceback
from collections import Counter

from fhir_b12.validation import Validator
from tests.conformance.outcomes import PACKAGES, Tally, plain_location, rows
from tests.conftest import fixtures_root


def main(names, limit=25):
    fixtures = fixtures_root()
    for name in names or PACKAGES:
        tally, crashed, missing, extra = Tally(), Counter(), Counter(), Counter()
        examples = {}
        package = PACKAGES[name]
        package = [fixtures / "packages" / package] if package else []
        base = Validator((), package, plausibility=False)
        start = time.perf_counter()
        for row in rows(fixtures, name):
            try:
                report = base.validate(row.text, profiles=row.profiles)
            except Exception:  # noqa: BLE001  # counted; the run goes on
                crashed[traceback.format_exc(limit=-2)] += 1
                report = ()
            tally.add(row, report)
            reference_errors = row.errors
            our_errors = {
                plain_location(issue.expression): issue for issue in report if issue.is_error
            }
            for location in set(reference_errors) - set(our_errors):
                for rule in reference_errors[location]:
                    missing[rule] += 1
                    examples.setdefault(("-", rule), f"{row.name} {location}")
            for location in set(our_errors) - set(reference_errors):
                extra[our_errors[location].rule] += 1
                examples.setdefault(
                    ("+", our_errors[location].rule), f"{row.name} {our_errors[location]}"[:220]
                )
        seconds = time.perf_counter() - start
        print(
            f"== {name}: {tally.total} rows in {seconds:.1f} s; verdicts {tally.verdicts / tally.total:.2%}, locations {tally.locations / tally.total:.2%}"
        )
        for trace, number in crashed.most_common(8):
            print("CRASH", number, trace)
        for sign, counted in (("-", missing), ("+", extra)):
            for rule, number in counted.most_common(limit):
                print(f"  {sign} {number:4} {rule:50} {examples[sign, rule]}")


if __name__ == "__main__":
    main(sys.argv[1:])
