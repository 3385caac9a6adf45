"""`compile=True`: blocks of steps as compiled functions, forward and backward, in place of the loop over the steps.

All that changes from call to call enters a block as tensors: the state, the times, the lengths of the steps, the
increments, the parameters. So a block is compiled once for a vector field, a method, and shapes and dtypes, and serves
every seed, number of steps, dt, ts and Brownian motion, and other objects of the same class. Its calls are checked
against what it was compiled for by torch itself, which compiles it again where a Python value in the SDE has changed.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch._dynamo
import torch._functorch.config
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.compile_fx import compile_fx
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

from sdegrad.torch.adjoints.discrete import Accumulator, recorded
from sdegrad.torch.sde import CALLED, VectorField
from sdegrad.torch.stepping.blocks import StepBlock, block_times, joined, step_block
from sdegrad.torch.stepping.fixed import Solve
from sdegrad.torch.types import SDE, Reversal, SolverState

LENGTH = 25  # steps: enough to hide the cost of a call, few enough to be compiled in less than a minute
SPECIALISATIONS = 128  # of a block, by field, method, shapes and dtypes; beyond that torch refuses to compile it again
NEEDED = "trace_autograd_ops"  # by the backward blocks, of torch's compiler
# Of the code for the CPU: kernels called from C++, and no second check of the layouts, after that of each call.
CODE: dict[str, Any] = {"cpp_wrapper": True, "size_asserts": False}


def forward(
    field: VectorField, step: Callable[..., SolverState], state: SolverState, block: StepBlock
) -> tuple[list[Tensor], SolverState]:
    """Returns ([solution after each step], state after the last one)."""
    zs = []
    for i, dt in enumerate(block.dts):
        state = step(field, state, block.times[i], block.times[i + 1], dt, block.dWs[i])
        zs.append(state[0])
    return zs, tuple(x.contiguous() for x in state)


def backward(
    field: VectorField,
    reversal: Reversal,
    gradients: Accumulator,
    state: SolverState,
    adjoint: SolverState,
    received: Tensor | Sequence[Tensor],
    block: StepBlock,
) -> tuple[SolverState, SolverState]:
    """The state and the adjoint before the first step; `gradients` has what these steps add to those in the parameters.
    received: the gradient that reaches the solution after each step from the outputs. field.f_and_g records."""
    gradients.begin()
    state, adjoint = reversal.resume(field, block.times[-1], state), tuple(a.clone() for a in adjoint)
    for i in reversed(range(len(block.dts))):
        a_z, *others = adjoint
        adjoint = (a_z + received[i], *others)
        before, after = block.times[i], block.times[i + 1]
        state, adjoint = reversal.pull(field, gradients.vjp, state, adjoint, before, after, block.dts[i], block.dWs[i])
    return tuple(x.detach().contiguous() for x in state), adjoint


def finish(
    field: VectorField,
    reversal: Reversal,
    gradients: Accumulator,
    state: SolverState,
    adjoint: SolverState,
    times: Tensor,
) -> Tensor:
    """The gradient in y0, of the state and the adjoint at times[0], the initial time; `gradients` has those in the
    parameters. field.f_and_g records."""
    gradients.begin()
    return reversal.finish(gradients.vjp, reversal.resume(field, times[0], state), adjoint)


def _keeping_dtype(field: VectorField, dtype: torch.dtype) -> VectorField:
    """`field`, called with times of `dtype`: the lengths of the steps are float64 tensors, and so are times that are
    computed with them. The times are copied, since other solves use them too."""

    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda t, *rest: function(t.to(dtype, copy=True), *rest)

    return replace(field, **{name: of(getattr(field, name)) for name in CALLED})


@functools.cache
def _compiled(block: Callable[..., Any], device: str) -> Callable[..., Any]:
    def backend(graph: Any, inputs: Sequence[Any]) -> Any:
        # A tensor without axes may be turned into a number in the code (as the alpha of an addition is). The block is
        # then compiled again for another value, but torch's cache on disk would return the code for the first one.
        numbers = any(isinstance(x, Tensor) and x.dim() == 0 for x in inputs)
        with torch._functorch.config.patch(enable_autograd_cache=not numbers):
            return compile_fx(graph, inputs, config_patches=CODE if device == "cpu" else None)

    options: dict[str, Any] = {"isolate_recompiles": True, "recompile_limit": SPECIALISATIONS}
    return torch.compile(block, backend=backend, fullgraph=True, dynamic=False, **options)


@dataclass(frozen=True)
class Blocks:
    """Runs steps in compiled blocks. name: the class of the SDE, for errors; device: its type, "cpu" or "cuda"."""

    name: str
    device: str

    def steps(
        self, solve: Solve, state: SolverState, start: int, stop: int
    ) -> Iterator[tuple[list[Tensor], SolverState]]:
        """Step from grid time `start` to `stop`. Yields by block ([solution after each step], state at its end)."""
        field, step, state = _keeping_dtype(solve.field, solve.steps.dtype), solve.scheme.step, _alike(solve, state)
        with self._compiler() as call:
            for k, length in _spans(start, stop):
                zs, state = call(forward, field, step, state, step_block(solve.steps, k, length))
                yield zs, state
                if solve.steps.progress:
                    solve.steps.progress(k + length, solve.steps.grid.steps)

    def retrace(
        self,
        solve: Solve,
        gradients: Accumulator,
        state: SolverState,
        adjoint: SolverState,
        grads: Mapping[int, Tensor],
    ) -> tuple[SolverState, SolverState]:
        """Undo all steps. Returns the state at the start, and the gradient in y0, or in all of the state if that was
        given. grads: by grid index, the gradients in the solution there that come from the outputs."""
        reversal, field = solve.scheme.reversal, _keeping_dtype(solve.field, solve.steps.dtype)
        field = replace(field, f_and_g=recorded(field.f_and_g))
        state, adjoint = (tuple(x.detach().contiguous() for x in xs) for xs in (state, adjoint))
        nothing = torch.zeros_like(state[0])
        nothings = nothing.expand(LENGTH, *nothing.shape).unbind()  # tensors of their own
        here = Accumulator(gradients.params)
        with self._compiler() as call:
            for k, length in _spans(0, solve.steps.grid.steps, backwards=True):
                received = joined([grads.get(k + i + 1, nothings[i]) for i in range(length)])
                block = step_block(solve.steps, k, length)
                state, adjoint = call(backward, field, reversal, here, state, adjoint, received, block)
                gradients.add(here.totals)
            if not solve.extra:
                times, _ = block_times(solve.steps, 0, 0)
                adjoint = (call(finish, field, reversal, here, state, adjoint, times),)
                gradients.add(here.totals)
        return state, adjoint

    @contextmanager
    def _compiler(self) -> Iterator[Callable[..., Any]]:
        """Yields call(block, *arguments), which compiles. ValueError, with cause and remedy, for what cannot be."""
        with torch._dynamo.config.patch({NEEDED: True}):
            try:
                yield lambda block, *arguments: _compiled(block, self.device)(*arguments)
            except (TorchDynamoException, FailOnRecompileLimitHit) as error:
                inner = getattr(error, "inner_exception", error)
                if isinstance(inner, CppCompileError):
                    raise ValueError(
                        f"compile=True needs a compiler for C++ that works, and {inner.cmd[0]} failed: "
                        f"{_cause(inner.output)}. Name another in the environment variable CXX, or pass compile=False."
                    ) from error
                raise ValueError(
                    f"compile=True cannot compile what {self.name} computes: {_cause(inner)}. Keep to operations of "
                    "torch that do not depend on the values of tensors (no .item(), no `if` on one), or pass "
                    "compile=False."
                ) from error


def make_blocks(sde: SDE, y0: Tensor, return_stats: bool) -> Blocks:
    """The `Blocks` for `sde` on the device of y0. ValueError where torch, or the machine, cannot compile."""
    if return_stats:
        raise ValueError(
            "return_stats=True counts the calls of f and g, which compiled code does not make one by one; "
            "pass compile=False."
        )
    if not hasattr(torch._dynamo.config, NEEDED):
        raise ValueError(f"compile=True needs torch 2.13 or later, got {torch.__version__}; pass compile=False.")
    if y0.device.type == "cpu":
        _cpp_compiler()
    return Blocks(type(sde).__name__, y0.device.type)


@functools.cache
def _cpp_compiler() -> str:
    try:
        return get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ValueError(
            "compile=True needs a compiler for C++, and there is none; install g++ or clang, name it in the "
            "environment variable CXX, or pass compile=False."
        ) from error


def _alike(solve: Solve, state: SolverState) -> SolverState:
    """`state` laid out as blocks return it, each entry a tensor of its own, so that the first block is like
    all others."""
    start = solve.start
    known = [x for x in (*state, start.f0, start.g0) if x is not None]
    recorded = torch.is_grad_enabled() and any(x.requires_grad for x in known)
    return tuple(
        x.contiguous().view_as(x) if recorded and x.requires_grad else x.detach().contiguous().requires_grad_(recorded)
        for x in state
    )


def _spans(start: int, stop: int, backwards: bool = False) -> Iterator[tuple[int, int]]:
    """(first step, number of steps) of each block."""
    whole = stop - (stop - start) % LENGTH
    spans = [(range(start, whole, LENGTH), LENGTH), (range(whole, stop), 1)]
    for firsts, length in reversed(spans) if backwards else spans:
        for k in reversed(firsts) if backwards else firsts:
            yield k, length


def _cause(error: Exception | str) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
