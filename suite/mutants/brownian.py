"""Brownian motions made wrong on purpose."""

from suite.mutants.mutant import Mutant
from suite.mutants.patched import patched


def _scaled(draw):
    return lambda self, shape, deviation=1.0: draw(self, shape, 1.005 * deviation)


MUTANTS: dict[str, Mutant] = {
    "brownian: variance 1 % too large": Mutant(
        about="every normal number has 1.005 times its deviation",
        effect="variances times 1.01",
        base="sdegrad_torch",
        checks=("law",),
        make=patched("sdegrad_torch", {"sdegrad.torch.brownian.rng:Normals.more": _scaled}),
    ),
}
