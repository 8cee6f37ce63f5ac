"""Host driver: runs a program on the accelerator from Python on the board."""

from host.accelerator import Accelerator
from host.errors import HostError

__all__ = ["Accelerator", "HostError"]
