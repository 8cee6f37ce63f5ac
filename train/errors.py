"""The error of everything that trains."""

from __future__ import annotations

from bnn.errors import ExpectedError


class TrainError(ExpectedError):
    """A run, a checkpoint or a method cannot be used; one line says why."""
