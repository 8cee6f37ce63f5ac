"""Host driver: runs a program on the accelerator from Python on the board."""

from host.accelerator import Accelerator
from host.errors import HostError
from host.pool import Pool

__all__ = ["Accelerator", "HostError", "Pool"]
