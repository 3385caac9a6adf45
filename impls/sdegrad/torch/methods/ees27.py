"""EES(2,7), explicit and effectively symmetric. Stratonovich. Strong order 1 if commutative, 1/2 in general.

Shmelev and Salvi, arXiv 2509.20599. Order 2 for ODEs; a step followed by one with (-dt, -dW) misses the start by the
eighth power of the step.
"""

from math import sqrt

from sdegrad.torch.methods.low_storage import low_storage

r = sqrt(2)
SCHEME = low_storage(
    A=(0.0, (-7 + 4 * r) / 3, -(4 + 5 * r) / 12, 3 * (8 * r - 31) / 49),
    B=((2 - r) / 3, (4 + r) / 8, 3 * (3 - r) / 7, (9 - 4 * r) / 14),
    C=(0.0, (2 - r) / 3, (2 + r) / 6, (4 + r) / 6),
)
