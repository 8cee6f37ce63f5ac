"""Where the vendor's open headers of arbitrary-precision types lie."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def find_ap_types() -> Path | None:
    """The folder with ap_int.h: that in the environment variable AP_TYPES, else in an installed hls4ml; or None."""
    folder = os.environ.get("AP_TYPES")
    if folder:
        return Path(folder) if (Path(folder) / "ap_int.h").is_file() else None
    found = importlib.util.find_spec("hls4ml")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "templates" / "vivado" / "ap_types"
        if (path / "ap_int.h").is_file():
            return path
    return None
