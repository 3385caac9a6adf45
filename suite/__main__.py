"""`python -m suite NAME`: verify and measure an implementation of your own, for your own CI.

It runs `suite.verify` and `suite.run` on it, and writes JUnit XML and JSON of every claim and every measurement. Exit
code 0: every claim holds and every measurement was made; 1: one failed, or nothing was checked; 2: the input is wrong.
"""

import argparse
import csv
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from suite import results, run
from suite.verify.__main__ import main as verify
from suite.verify.findings import GOOD

OUT = run.OUT / "check"
Verdict = Literal["passed", "failed", "skipped"]
VERDICTS: Mapping[str, Verdict] = dict.fromkeys((*GOOD, "ok"), "passed")
VERDICTS |= dict.fromkeys(("unsupported", "skipped"), "skipped")


@dataclass(frozen=True)
class Check:
    """A claim, or a measurement. kind: "verify" or "bench"."""

    kind: str
    name: str
    verdict: Verdict
    detail: str


def checks(out: Path, names: Sequence[str]) -> Iterator[Check]:
    """What the two commands found of these implementations."""
    with (out / "verification.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["implementation"] in names and not row["kind"].endswith("control"):
                name = f"{row['implementation']}: {row['subject']}: {row['claim']}"
                yield Check("verify", name, VERDICTS.get(row["verdict"], "failed"), _told(row))
    for row in results.read(out / "results.csv"):
        if row["implementation"] in names:
            work = " ".join(filter(None, (row[c] for c in ("problem", "noise_type", "method", "access", "adjoint"))))
            steps = f" dt {row['dt']}" if row["dt"] else ""
            told = f"{row['value']} {row['unit']} [{row['low']}, {row['high']}] {row['reason']}"
            name = f"{row['implementation']}: {row['measure']}: {work}{steps}"
            yield Check("bench", name, VERDICTS.get(row["status"], "failed"), told)


def _told(row: Mapping[str, str]) -> str:
    """The verdict on a claim, what was expected and measured if it was, why, and where the claim is from."""
    values = f"expected {row['expected']}, measured {row['measured']}" if row["measured"] else ""
    return " ".join(filter(None, (f"{row['verdict']}:", values, row["reason"], f"({row['source']})")))


def junit(found: Sequence[Check]) -> bytes:
    """A test suite each for what was verified and what was measured."""
    root = ET.Element("testsuites")
    for kind in dict.fromkeys(check.kind for check in found):
        of_kind = [check for check in found if check.kind == kind]
        counts = {v: str(sum(c.verdict == v for c in of_kind)) for v in ("failed", "skipped")}
        named = {"name": f"sdegrad.{kind}", "tests": str(len(of_kind)), "errors": "0"}
        suite = ET.SubElement(root, "testsuite", named, failures=counts["failed"], skipped=counts["skipped"])
        for check in of_kind:
            case = ET.SubElement(suite, "testcase", classname=f"sdegrad.{kind}", name=results.printable(check.name))
            detail = results.printable(check.detail)
            if check.verdict == "passed":
                ET.SubElement(case, "system-out").text = detail
            else:
                ET.SubElement(case, {"failed": "failure", "skipped": "skipped"}[check.verdict], message=detail)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suite", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="the implementation, as its entry point names it")
    parser.add_argument("--thorough", action="store_true", help="every check and case; minutes to hours")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the tables and the report")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    named = [argument for name in options.names for argument in ("--implementation", name)]
    common = [*named, "--out", str(options.out)]
    codes = [verify([*common, *["--full"] * options.thorough])]  # --quick has the strongest methods alone
    if codes[0] not in (0, 1):
        return 2
    codes.append(run.main([*common, "--full" if options.thorough else "--smoke"]))
    if codes[1] not in (0, 1):
        return 2
    found = list(checks(options.out, options.names))
    for kind, code in zip(("verify", "bench"), codes, strict=True):
        if code and not any(check.verdict == "failed" and check.kind == kind for check in found):
            found.append(Check(kind, f"all of {kind}", "failed", f"it ended with exit code {code}; it says why above."))
    failed = [check for check in found if check.verdict == "failed"]
    passed = sum(check.verdict == "passed" for check in found)
    code = 1 if failed or not passed or any(codes) else 0
    told = {"exit_code": code, "passed": passed, "failed": len(failed), "checks": [asdict(c) for c in found]}
    for file, content in ((options.junit, junit(found)), (options.json, json.dumps(told, indent=1).encode())):
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            except OSError as error:
                print(f"error: {file} cannot be written ({error.strerror}); name another file.", file=sys.stderr)
                return 2
    for check in failed:
        print(f"failed: {results.printable(check.name)}: {results.printable(check.detail)}")
    print(f"{passed} passed, {len(failed)} failed, {len(found) - passed - len(failed)} skipped.")
    return code


if __name__ == "__main__":
    sys.exit(main())
