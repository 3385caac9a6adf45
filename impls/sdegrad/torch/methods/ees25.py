"""EES(2,5; 1/10), explicit and effectively symmetric. Stratonovich. Strong order 1 if commutative, 1/2 in general.

Shmelev and Salvi, arXiv 2509.20599. Order 2 for ODEs; a step followed by one with (-dt, -dW) misses the start by the
sixth power of the step: R(z) R(-z) = 1 - z^6 / 64.
"""

from sdegrad import tableaux
from sdegrad.torch.methods.low_storage import low_storage

SCHEME = low_storage(tableaux.EES25)
