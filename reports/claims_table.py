"""What the README says of claims: how many hold of each library, and one failure explained."""

from collections.abc import Sequence
from pathlib import Path

from reports import claims as verified
from reports import labels
from reports.claims import Row

VERIFIED, DEFECT = "verified.png", "defect.png"  # beside the claims
YES = "yes: "  # before what a program printed that reproduced a failure


def block(rows: Sequence[Row], file: Path) -> str:
    """The table, the figure of it, and one of the failures, if there is one to show."""
    picture = f"![Claims that hold, by check and library]({file.with_name(VERIFIED).as_posix()})"
    return "\n\n".join(filter(None, (table(rows, file), picture, defect(rows, file))))


def table(rows: Sequence[Row], file: Path) -> str:
    """A table of how many claims of each library hold and, apart, how much of what theory says beyond them."""
    lines = [
        "| library | its claims that hold | beyond its claims: theory that holds | what fails, and what was measured |",
        "| --- | --- | --- | --- |",
    ]
    checked = [row for row in rows if not verified.is_control(row)]
    for name, version in dict.fromkeys((row["implementation"], row["version"]) for row in checked):
        own = [row for row in checked if row["implementation"] == name]
        claimed, theory = ([row for row in own if verified.kind(row) == kind] for kind in ("claim", "theory"))
        failures = "<br>".join(filter(None, (_failures(own, kind) for kind in _KINDS)))
        lines.append(
            f"| {labels.markdown(f'{name} {version}')} | {_held(claimed)} | {_held(theory)} | {failures or '–'} |"
        )
    controls = [row for row in rows if verified.is_control(row) and row["verdict"] != "unsupported"]
    right = sum(not verified.misjudged(row) for row in controls)
    failing = [row for row in checked if row["verdict"] == "fails"]
    shown = sum(row["reproduced"].startswith(YES) for row in failing)
    note = (
        "A claim is what a library says itself, quoted in its row with the place; theory is what others have proved. "
        f"[ ]: of joint confidence 99.9 % over all rows. {right} of {len(controls)} controls, true or false by "
        "construction, were judged rightly."
    )
    if failing:
        note += f" {shown} of {len(failing)} failures were reproduced by a program with the library alone."
    return "\n".join([*lines, "", f"{note} All rows: `{file.as_posix()}`."])


def defect(rows: Sequence[Row], file: Path) -> str:
    """One failure explained: what was claimed where, what was measured, and what the program says that shows it."""
    row = explained(rows)
    if row is None:
        return ""
    library, subject = (labels.markdown(text) for text in (f"{row['implementation']} {row['version']}", row["subject"]))
    return "\n\n".join(
        (
            f"**One of the failures.** {library}, {subject}: *{labels.markdown(row['claim'])}*, by "
            f"{labels.markdown(row['source'])}. Measured: {verified.measured(row)}.",
            f"![Error against step size, with the claimed slope]({file.with_name(DEFECT).as_posix()})",
            f"A program shows it with the library alone, and is run with the verification. What it is about: "
            f"*{labels.markdown(verified.first_words(row))}* What it printed: "
            f"*{labels.markdown(row['reproduced'].removeprefix(YES))}*.",
        )
    )


def explained(rows: Sequence[Row]) -> Row | None:
    """The first failure that a program reproduces and a curve shows; one of strong order, if there is any."""
    found = [row for row in rows if row["verdict"] == "fails" and not verified.is_control(row) and row["curve"]]
    found = [row for row in found if row["reproduced"].startswith(YES)]
    return min(found, key=lambda row: row["check"] != "order", default=None)


# The kinds of rows beside controls -> the words before one that fails.
_KINDS = {"claim": "", "theory": "theory, not claimed: "}


def _held(rows: Sequence[Row]) -> str:
    verdicts = [row["verdict"] for row in rows if row["verdict"] not in verified.UNDECIDED]
    open_ones = verdicts.count("inconclusive")
    text = f"{verdicts.count('holds') + verdicts.count('exceeds')} of {len(verdicts)}" if verdicts else "–"
    return text + f", {open_ones} inconclusive" * (open_ones > 0)


def _failures(rows: Sequence[Row], kind: str) -> str:
    """The rows of this kind that fail, claim by claim."""
    by_claim: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "fails" and verified.kind(row) == kind:
            failure = labels.markdown(_shown(row))
            by_claim.setdefault(labels.markdown(row["claim"]), []).append(failure)
    return "<br>".join(f"{_KINDS[kind]}*{claim}*: {'; '.join(subjects)}" for claim, subjects in by_claim.items())


def _shown(row: Row) -> str:
    """The subject, with its number where that has an interval, or why there is none."""
    told = not row["measured"] or row["low"] != row["high"]
    return f"{row['subject']}: {verified.measured(row)}" if told else row["subject"]
