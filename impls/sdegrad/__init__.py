"""SDE solvers with exact gradients, and the contract by which SDE solvers are benchmarked and verified.

`import sdegrad.torch` and `import sdegrad.jax` are the two libraries; neither imports the other's framework.
"""

__version__ = "0.1.0"
