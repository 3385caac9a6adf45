"""EES(2,7), explicit and effectively symmetric. Stratonovich; strong order 1/2, and 1 for commutative noise.

Shmelev and Salvi (2025), arXiv 2509.20599. ODE order 2; a step followed by one with (-dt, -dW) misses the start by
the eighth power of the step.
"""

from sdegrad import tableaux
from sdegrad.jax.methods.low_storage import LowStorage

EES27 = LowStorage(tableaux.EES27)
