"""The golden model is `bnn.golden`; scripts written before the ground floor find it under this name too."""

from bnn.golden import *  # noqa: F401,F403
