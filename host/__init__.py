"""Host driver: runs a program on the accelerator from Python on the board."""

from host.accelerator import Accelerator, HostError

__all__ = ["Accelerator", "HostError"]
