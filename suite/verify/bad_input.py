"""Malformed calls: an error before the first step, or what else a library makes of them.

Each call of `malformed` is made in a process of its own library, with a time limit. What comes of it is a number: 0 is
an error before the first step, and of our own a ValueError or TypeError that names the value. Nothing is random.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from queue import Empty, Queue
from threading import Thread
from typing import Any, NamedTuple

from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, GAINES, NEGATIVE, OURS, POSITIVE, ZEN, Claim, said
from suite.verify.findings import Effort, Finding, Unsupported, at_most
from suite.verify.malformed import EXPLODES, MALFORMED, PROGRAMS, text_of

FIRST = 300.0  # seconds for the right call, which comes first and imports a framework
# For each other one: so many times what the right one took on this machine now, and so many seconds at least.
PATIENCE, LEAST = 10.0, 3.0
OUTCOMES = ("an error", "an error that names nothing", "an error later", "a warning", "a result", "no end")
END = 60.0  # seconds for a solve that has no solution to find
_ENDS = "explosion"
RIGHT = ""  # the case of the right call
_SOON = 2  # evaluations of the drift, with which a library looks at what it returns

_WORKER = """
import json, sys, time, warnings
program, cases = json.load(sys.stdin)
for name, text in cases:
    found, scope = dict(name=name, error=None, message="", warned=""), {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(program, scope)
            exec(text, scope)
            started = time.monotonic()
            scope["call"]()
            found["seconds"] = time.monotonic() - started
        except Exception as error:
            bases = [c.__name__ for c in type(error).__mro__]
            found.update(error=bases[0], bases=bases, message=str(error))
    found.update(warned="; ".join(str(w.message) for w in caught), steps=scope["steps"][0])
    print(json.dumps(found), flush=True)
"""


def claims(name: str) -> Iterator[Claim]:
    if name not in PROGRAMS:  # a third party's own functions are not known here
        return
    stated = said(quotations.refusals(name), ZEN)
    claim: dict[str, Any] = {"check": "bad input", "implementation": name, "expected": 0}
    for case in MALFORMED:
        if text_of(name, case) is not None:
            words = "a malformed call is an error before the first step"
            yield Claim(**claim, **stated, subject=case, claim=words, case={"library": name}, spoil={"call": case})
    words = f"adaptive steps towards an explosion end within {END:.0f} s, by an error or values that are not finite"
    exploding: dict[str, Any] = {"claim": words, "case": {"library": name, "what": _ENDS}, "spoil": {"call": _ENDS}}
    yield Claim(**claim, **exploding, kind="theory", source=GAINES, subject="a solution that explodes")
    for kind, wanted in ((NEGATIVE, "an error"), (POSITIVE, "a result")):
        yield Claim(
            **claim,
            kind=kind,
            source=CONSTRUCTED[kind],
            subject=f"a right call, held to {wanted}",
            claim=f"a right call is {wanted}",
            case={"library": name},
            spoil={"call": RIGHT, "wanted": wanted},
        )


class Outcome(NamedTuple):
    """what: one of OUTCOMES. words: of the error or the warning."""

    what: str
    words: str


@solving.remembered
def _outcomes(name: str) -> Mapping[str, Outcome]:
    """What comes of each call of the library; a call without an end costs its process, and the rest go to the next."""
    texts = ((case, text_of(name, case)) for case in MALFORMED)
    left = [(case, text) for case, text in texts if text is not None]
    outcomes: dict[str, Outcome] = {RIGHT: Outcome("no end", f"nothing within {FIRST:.0f} s")}
    while left:
        for found in _answers(PROGRAMS[name], [(RIGHT, ""), *left]):
            outcomes[found["name"]] = _judged(name, found)
        if outcomes[RIGHT].what != "a result":
            break
        left = [(case, text) for case, text in left if case not in outcomes]
        if left:
            outcomes[left.pop(0)[0]] = Outcome(
                "no end", f"nothing within {PATIENCE:.0f} times what the right call takes"
            )
    return outcomes


@solving.remembered
def _explosion(name: str) -> Outcome:
    for found in _answers(PROGRAMS[name], [(RIGHT, ""), (_ENDS, EXPLODES[name])], END):
        if found["name"] == _ENDS:
            return Outcome(
                "a result" if found["error"] is None else "an error", f"{found['error']}: {found['message']}"
            )
    return Outcome("no end", f"nothing within {END:.0f} s")


def _answers(program: str, cases: list[tuple[str, str]], least: float = LEAST) -> Iterator[dict[str, Any]]:
    """What the worker says of each call, until it says nothing for too long, or ends."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    lines: Queue[str] = Queue()
    assert worker.stdin is not None
    assert worker.stdout is not None

    def read() -> None:
        for line in said:
            lines.put(line)
        lines.put("")

    said, reader = worker.stdout, Thread(target=read, daemon=True)
    try:
        worker.stdin.write(json.dumps([program, cases]))
        worker.stdin.close()
        reader.start()
        patience = FIRST
        while line := lines.get(timeout=patience):
            found = json.loads(line)
            yield found
            if found["name"] == RIGHT:
                patience = max(least, PATIENCE * found.get("seconds", LEAST))
    except Empty:
        return
    finally:
        worker.kill()
        worker.wait()
        reader.join()
        said.close()


def _judged(name: str, found: Mapping[str, Any]) -> Outcome:
    words = " ".join(f"{found['error'] or ''}: {found['message']}"[:300].split()).strip(": ")
    if found["error"] is None:
        return Outcome("a warning", found["warned"][:300]) if found["warned"] else Outcome("a result", "")
    if found["steps"] > _SOON:
        return Outcome("an error later", words)
    case = found["name"]
    named = not case or MALFORMED[case].names in found["message"].lower()
    clear = bool({"ValueError", "TypeError"} & set(found["bases"])) and named
    return Outcome("an error" if clear or name not in OURS else "an error that names nothing", words)


def measure(claim: Claim, effort: Effort) -> Finding:
    del effort  # nothing is random
    if claim.spoil["call"] == _ENDS:
        what, words = _explosion(claim.implementation)
        return at_most(0, 0 if what == "an error" else OUTCOMES.index(what), f"{what}. {words[:300]}")
    outcomes = _outcomes(claim.implementation)
    if outcomes[RIGHT].what != "a result":
        raise Unsupported(f"the right call does not work here: {outcomes[RIGHT].words}")
    what, words = outcomes[claim.spoil["call"]]
    wanted = claim.spoil.get("wanted", "an error")
    return at_most(0, 0 if what == wanted else max(1, OUTCOMES.index(what)), f"{what}. {words}".strip())


def script(claim: Claim) -> str | None:
    """A program that makes the call with the library alone, and exits 1 if it is not refused."""
    case = claim.spoil["call"]
    text = EXPLODES[claim.implementation] if case == _ENDS else text_of(claim.implementation, case) if case else None
    if text is None:
        return None
    soon, patience = (10**9, round(END)) if case == _ENDS else (_SOON, 20)
    return f"""# {claim.implementation}: {claim.subject}
import faulthandler, sys
{PROGRAMS[claim.implementation].strip()}
{text}
faulthandler.dump_traceback_later({patience}, exit=True)  # a call without an end exits 1, too
try:
    print("accepted:", call())
except Exception as error:
    print("refused:", type(error).__name__, error)
    sys.exit(0 if steps[0] <= {soon} else 1)
sys.exit(1)
"""
