"""Claims are what libraries say, with the place; theory is told apart, and stands in where nobody claims anything."""

import re
from collections import Counter

import pytest

from suite.harness import METHODS, compared
from suite.verify import sources
from suite.verify.checks import CHECKS, claims_of
from suite.verify.claims import CONSTRUCTED, OURS
from suite.verify.noises import NOISES
from suite.verify.orders import LIMIT, THEORY


@pytest.fixture(scope="module")
def claims():
    return {name: claims_of(name) for name in (*compared(), "mylib")}


def orders(claims, method, noise_type="diagonal"):
    """{order: source} of the Stratonovich or only calculus."""
    rows = [c for c in claims if c.check == "order" and not c.control]
    ends = f"{noise_type} noise"
    return {c.expected: c.source for c in rows if c.subject.startswith(f"{method}, ") and c.subject.endswith(ends)}


@pytest.mark.slow
def test_diffrax_claims_what_its_attribute_and_its_table_say(claims):
    stated = orders(claims["diffrax"], "heun")
    assert set(stated) == {0.5, 1.0}
    assert stated[0.5].startswith("diffrax/_solver/heun.py, line ")
    assert stated[0.5].endswith("'def strong_order(self, terms): return 0.5'")
    assert stated[1.0].endswith("'Heun, Commutative: 1.0/1.0'")
    assert "assuming commutative noise" in orders(claims["diffrax"], "milstein")[1.0]


def test_what_diffrax_does_not_claim_is_theory(claims):
    """EulerHeun: 1/2 by attribute and table; 1 for commutative noise is proved elsewhere. And there is no Ito ShARK."""
    rows = {(c.subject, c.expected): c for c in claims["diffrax"] if c.check == "order"}
    assert rows["euler_heun, stratonovich, diagonal noise", 0.5].kind == "claim"
    assert rows["euler_heun, stratonovich, diagonal noise", 1.0].kind == "theory"
    assert rows["shark, stratonovich, additive noise", 1.5].kind == "claim"
    assert rows["shark, ito, additive noise", 1.5].kind == "theory"


def test_torchsde_claims_half_an_order_for_reversible_heun(claims):
    assert set(orders(claims["torchsde"], "reversible_heun")) == {0.5}
    stated = orders(claims["torchsde"], "reversible_heun", "additive")
    assert set(stated) == {1.0}
    assert "self.strong_order = 1.0 if sde.noise_type == NOISE_TYPES.additive else 0.5" in stated[1.0]


def test_we_claim_our_own_table(claims):
    for name in OURS:
        own = [c for c in claims[name] if c.check == "order" and c.kind == "claim" and c.claim != LIMIT]
        claimed = Counter(c.subject.partition(",")[0] for c in own)
        assert set(claimed) == set(METHODS)
        stated = [noise for facts in METHODS.values() for _ in facts.sde_types for noise in facts.order]
        assert sum(claimed.values()) == sum(noise in NOISES for noise in stated) + stated.count(
            "general"
        )  # "commutative" is a kind of it


def test_every_claim_has_its_words_and_place_and_theory_a_paper(claims):
    for claim in (c for rows in claims.values() for c in rows):
        if claim.kind == "claim":
            assert claim.source.count("'") >= 2, claim
        elif claim.kind == "theory":
            assert re.search(r"\((19|20)\d\d\)", claim.source), claim
        else:
            assert claim.source == CONSTRUCTED[claim.kind]


def test_who_claims_nothing_is_held_to_theory(claims):
    kinds = Counter((c.check, c.kind) for c in claims["mylib"])
    assert {check for check, _ in kinds} == set(CHECKS) - {"bad input"}  # whose calls are written by library
    assert {kind for _, kind in kinds} <= {"theory", *CONSTRUCTED}
    assert {c.subject.partition(",")[0] for c in claims["mylib"] if c.check == "order"} >= set(THEORY)


def test_theory_is_not_told_where_the_library_claims_as_much(claims):
    for name in compared():
        rows = [c for c in claims[name] if c.check == "order"]
        for theory in (c for c in rows if c.kind == "theory"):
            same = [c for c in rows if c.subject == theory.subject and c.kind == "claim"]
            assert all(c.expected < theory.expected for c in same)


def test_words_that_no_longer_stand_there_are_an_error():
    with pytest.raises(LookupError, match="does not say 'three times as exact'"):
        sources.page("README.md", "three times as exact")
    with pytest.raises(LookupError, match=r"docstring of sdegrad\.torch\.BrownianInterval"):
        sources.docstring("sdegrad.torch:BrownianInterval", "approximately right")
