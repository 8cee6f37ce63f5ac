"""Host driver: runs a program on the accelerator from Python on the board."""

from .accelerator import Accelerator
from .errors import HostError
from .pool import Pool

__all__ = ["Accelerator", "HostError", "Pool"]
