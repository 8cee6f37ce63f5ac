"""Host driver: runs a program on the accelerator from Python on the board."""

from .accelerator import Accelerator
from .errors import HostError

__all__ = ["Accelerator", "HostError"]
