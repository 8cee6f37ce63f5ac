"""The model format is `bnn.model`; scripts written before the ground floor find it under this name too."""

from bnn.model import *  # noqa: F401,F403
