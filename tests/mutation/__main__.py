"""Run a random sample of mutants against the tests that should notice them.

    python -m tests.mutation                             200 mutants of all parts
    python -m tests.mutation --only fhirpath --sample 50
    python -m tests.mutation --changed main --sample 0   all mutants of lines changed since main

Mutants are run in copies of the project, never in the checkout. The exit code is 1 if fewer than
`--minimum` percent of the mutants are killed, or if an entry of equivalent.toml is stale.
"""

import argparse
import queue
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant, Mutations, count
from tests.mutation.parts import ROOT, Part, load_equivalents, load_parts
from tests.mutation.runner import Copy

MINIMUM = 90  #: percent of mutants killed
KILLED, TIMEOUT, SURVIVED, EQUIVALENT, NOT_RUN = (
    "killed",
    "timeout",
    "survived",
    "equivalent",
    "not run",
)


@dataclass(frozen=True)
class Sampled:
    """A mutant to run, and the part it is of."""

    part: Part
    mutant: Mutant
    original: str  #: source of the file


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description="Sample mutants and run their tests."
    )
    parser.add_argument("--seed", type=int, help="seed of the sample; printed by each run")
    parser.add_argument("--sample", type=int, default=200, help="number of mutants; 0 for all")
    parser.add_argument("--only", nargs="+", metavar="PART", help="parts, or paths of modules")
    parser.add_argument("--changed", metavar="REF", help="only lines changed since a git ref")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, help="start no mutant after so many minutes")
    parser.add_argument(
        "--minimum", type=float, default=MINIMUM, help="percentage that must be killed, or exit 1"
    )
    return parser.parse_args(argv)


def changed_lines(ref: str) -> dict[str, set[int]]:
    """The numbers of the lines of each Python file that differ from a git ref."""
    command = ["git", "-C", str(ROOT), "diff", "-U0", "--no-ext-diff", "--merge-base", ref]
    diff = subprocess.run([*command, "--", "*.py"], capture_output=True, text=True, check=True)
    lines: dict[str, set[int]] = {}
    file = None
    for row in diff.stdout.splitlines():
        if row.startswith("+++ "):
            file = row.removeprefix("+++ b/")
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", row):
            start, number = int(match[1]), int(match[2] or 1)
            lines.setdefault(file, set()).update(range(start, start + number))
    return lines


def select(parts: dict[str, Part], only: list[str] | None) -> list[tuple[Part, str]]:
    """The files to mutate, each with its part."""
    files = [(part, file) for part in parts.values() for file in part.files]
    if not only:
        return files
    matches = [(part, file) for part, file in files if part.name in only or file in only]
    unknown = set(only) - {name for part, file in matches for name in (part.name, file)}
    if unknown:
        names = ", ".join(parts)
        sys.exit(f"no part or module {', '.join(sorted(unknown))}; parts are {names}")
    return matches


def sample(files, size: int, seed: int, lines: dict[str, set[int]] | None) -> list[Sampled]:
    """Draw mutants, each as likely as any other of the files."""
    names = [file for _, file in files]
    sources = [(ROOT / name).read_text("utf-8") for name in names]
    wanted = [None if lines is None else lines.get(name, set()) for name in names]
    with ProcessPoolExecutor() as pool:
        counts = list(pool.map(count, names, sources, wanted))
    places = [(index, number) for index, most in enumerate(counts) for number in range(most)]
    print(f"{len(places)} mutants of {sum(map(bool, counts))} files, seed {seed}")
    if size and size < len(places):
        places = random.Random(seed).sample(places, size)
    drawn = []
    for index in sorted({index for index, _ in places}):
        mutations = Mutations(names[index], sources[index], wanted[index])
        drawn += [
            Sampled(files[index][0], mutations.mutant(number), sources[index])
            for at, number in sorted(places)
            if at == index
        ]
    random.Random(seed).shuffle(drawn)
    return drawn


class Runs:
    """Runs of tests in two copies or more."""

    def __init__(self, folder: Path, jobs: int, deadline: float | None):
        self._jobs = jobs
        self._deadline = deadline
        self._copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(jobs):
            self._copies.put(Copy(ROOT, folder / str(number)))
        self._seconds: dict[str, float] = {}

    def measure(self, tests: set[str]) -> None:
        """Run each file of tests without a mutant; a failure ends the program."""

        def run(test):
            copy = self._copies.get()
            try:
                return test, copy.run((test,), cpu_limit=600)
            finally:
                self._copies.put(copy)

        with ThreadPoolExecutor(self._jobs) as pool:
            for test, outcome in pool.map(run, sorted(tests)):
                if not outcome.passed:
                    sys.exit(f"{test} fails without a mutant:\n{outcome.output[-4000:]}")
                self._seconds[test] = outcome.seconds

    def outcome(self, sampled: Sampled) -> str:
        """Run the tests against one mutant."""
        if self._deadline and time.monotonic() > self._deadline:
            return NOT_RUN
        mutant = sampled.mutant
        tests = sampled.part.tests_of(mutant.file)
        copy = self._copies.get()
        try:
            with copy.replaced(mutant.file, mutant.source):
                limit = 20 + 2 * sum(self._seconds[test] for test in tests)
                run = copy.run(tests, cpu_limit=limit)
        finally:
            self._copies.put(copy)
        return SURVIVED if run.passed else TIMEOUT if run.timed_out else KILLED


def report(results: list[tuple[Sampled, str]]) -> float:
    """Print the outcome of each part and the survivors; return the percentage killed."""
    print("\nSurvivors:" if any(outcome == SURVIVED for _, outcome in results) else "")
    for sampled, outcome in sorted(results, key=lambda row: row[0].mutant.file):
        if outcome == SURVIVED:
            print(f"\n{sampled.part.name}: {sampled.mutant.file}: {sampled.mutant.function}")
            print(sampled.mutant.diff(sampled.original))
    outcomes: dict[str, Counter] = {}
    for sampled, outcome in results:
        outcomes.setdefault(sampled.part.name, Counter())[outcome] += 1
    total = sum(outcomes.values(), Counter())
    print(f"\n{'':14}{'killed':>8}{'timeout':>9}{'survived':>10}{'equivalent':>12}{'not run':>9}")
    for name, row in [*sorted(outcomes.items()), ("all", total)]:
        print(
            f"{name:14}{row[KILLED]:8}{row[TIMEOUT]:9}{row[SURVIVED]:10}"
            f"{row[EQUIVALENT]:12}{row[NOT_RUN]:9}   {percent_killed(row):5.1f}%"
        )
    return percent_killed(total)


def percent_killed(row: Counter) -> float:
    killed = row[KILLED] + row[TIMEOUT]
    return 100 * killed / ((killed + row[SURVIVED]) or 1)


def main() -> int:
    options = arguments()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    started = time.monotonic()
    equivalents = load_equivalents()
    stale = [row for row in equivalents if row.is_stale()]
    for row in stale:
        print(f"equivalent.toml: {row.file}: {row.function} has no line {row.line!r}")
    lines = changed_lines(options.changed) if options.changed else None
    drawn = sample(select(load_parts(), options.only), options.sample, seed, lines)
    if not drawn:
        print("nothing to mutate")
        return 1 if stale else 0
    known = {(row.file, row.function, row.line, row.mutant) for row in equivalents}
    results, to_run = [], []
    for sampled in drawn:
        mutant = sampled.mutant
        if (mutant.file, mutant.function, *mutant.lines(sampled.original)) in known:
            results.append((sampled, EQUIVALENT))
        else:
            to_run.append(sampled)
    deadline = started + 60 * options.minutes if options.minutes else None
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        runs = Runs(Path(folder), options.jobs, deadline)
        runs.measure({test for row in to_run for test in row.part.tests_of(row.mutant.file)})
        print(f"{time.monotonic() - started:.0f} s: the tests pass without a mutant", flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            for sampled, outcome in zip(to_run, pool.map(runs.outcome, to_run), strict=True):
                results.append((sampled, outcome))
                print({KILLED: ".", TIMEOUT: "t", SURVIVED: "S"}.get(outcome, "-"), end="")
                sys.stdout.flush()
    percent = report(results)
    print(f"{time.monotonic() - started:.0f} s, seed {seed}")
    return 0 if percent >= options.minimum and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
