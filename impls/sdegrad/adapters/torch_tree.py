"""The paper's baseline for Brownian motion, the Virtual Brownian Tree, in PyTorch behind the contract."""

from importlib.metadata import version

from sdegrad.adapters import torch_run
from sdegrad.adapters.torch_run import TorchBrownianRun
from sdegrad.contract import BrownianTask, Run, Task
from sdegrad.torch.brownian.virtual_tree import VirtualBrownianTree


class TorchTree:
    name = "torch_tree"
    framework = "torch"

    def versions(self) -> tuple[str, str]:
        return version("sdegrad"), torch_run.versions()

    def unavailable(self, device: str) -> str | None:
        return torch_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if not isinstance(task, BrownianTask):
            return "the Virtual Brownian Tree is a Brownian motion, not a solver."
        if task.kind != "tree":
            return "the Virtual Brownian Tree is no interval: it is exact to its tolerance only."
        return None if task.levy_area == "none" else "the Virtual Brownian Tree has no Levy area."

    def prepare(self, task: Task) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))

    def brownian(self, task: BrownianTask) -> TorchBrownianRun:
        """To half the smallest interval, unless the task has a tolerance."""
        tol = task.tol or (task.dt or task.t1 - task.t0) / 2
        return TorchBrownianRun(task, VirtualBrownianTree, {"tol": tol})


implementation = TorchTree()
