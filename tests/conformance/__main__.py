"""`python -m tests.conformance`: how far we agree with the reference validator, and where not."""

import sys
import time
import traceback
from collections import Counter

from fhir_b12.validation import Validator
from tests.conformance.outcomes import PACKAGES, Tally, place, rows
from tests.conftest import fixtures_root


def main(names, limit=25):
    fixtures = fixtures_root()
    for name in names or PACKAGES:
        tally, crashed, missing, extra = Tally(), Counter(), Counter(), Counter()
        examples = {}
        package = PACKAGES[name]
        package = [fixtures / "packages" / package] if package else []
        base = Validator((), package, plausibility=False)
        began = time.perf_counter()
        for row in rows(fixtures, name):
            try:
                report = base.validate(row.text, profiles=row.profiles)
            except Exception:  # noqa: BLE001  # a crash is counted, not the end
                crashed[traceback.format_exc(limit=-2)] += 1
                report = ()
            tally.add(row, report)
            theirs = row.errors
            ours = {place(i.expression): i for i in report if i.is_error}
            for each in set(theirs) - set(ours):
                for rule in theirs[each]:
                    missing[rule] += 1
                    examples.setdefault(("-", rule), f"{row.name} {each}")
            for each in set(ours) - set(theirs):
                extra[ours[each].rule] += 1
                examples.setdefault(("+", ours[each].rule), f"{row.name} {ours[each]}"[:220])
        took = time.perf_counter() - began
        print(
            f"== {name}: {tally.total} rows in {took:.1f} s; verdicts {tally.verdicts / tally.total:.2%}, places {tally.places / tally.total:.2%}"
        )
        for what, number in crashed.most_common(8):
            print("CRASH", number, what)
        for sign, counted in (("-", missing), ("+", extra)):
            for rule, number in counted.most_common(limit):
                print(f"  {sign} {number:4} {rule:50} {examples[sign, rule]}")


if __name__ == "__main__":
    main(sys.argv[1:])
