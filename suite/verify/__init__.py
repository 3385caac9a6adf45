"""What libraries claim of their SDE solvers and what theory says of them, checked with statistics that can reject.

`claims` says what a claim is; each check (a row of `checks.CHECKS`) says which claims it checks of a library, and
measures one; `run` measures all, decides what each is worth, and writes verification.csv.
"""
