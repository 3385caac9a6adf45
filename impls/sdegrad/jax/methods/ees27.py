"""EES(2,7), explicit and effectively symmetric. Stratonovich; strong order 1/2, and 1 for commutative noise.

Shmelev and Salvi (2025), arXiv 2509.20599. ODE order 2; a step followed by one with (-dt, -dW) misses the start by
the eighth power of the step.
"""

from math import sqrt

from sdegrad.jax.methods.low_storage import LowStorage

r = sqrt(2)
EES27 = LowStorage(
    A=(0.0, (-7 + 4 * r) / 3, -(4 + 5 * r) / 12, 3 * (8 * r - 31) / 49),
    B=((2 - r) / 3, (4 + r) / 8, 3 * (3 - r) / 7, (9 - 4 * r) / 14),
    C=(0.0, (2 - r) / 3, (2 + r) / 6, (4 + r) / 6),
)
