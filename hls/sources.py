"""The SystemVerilog of the RTL core: one module per file, `bnn_NAME.sv`, in folders by what it is for."""

from __future__ import annotations

from pathlib import Path

from hls.designs import Design

RTL = Path(__file__).resolve().parent.parent / "hw_templates" / "rtl"
TOP = "bnn_top"
PACKAGE = "_pkg"
"""End of the name of a package: what a compiler reads first."""


def files(folder: Path = RTL) -> list[Path]:
    """Every source in a folder and the folders below it, packages first."""
    return sorted(folder.rglob("*.sv"), key=lambda path: (not path.stem.endswith(PACKAGE), path))


def packages(folder: Path = RTL) -> list[Path]:
    """The packages, which no compiler finds by their names."""
    return [path for path in files(folder) if path.stem.endswith(PACKAGE)]


def find(module: str, folder: Path = RTL) -> Path:
    """The source of a module; a path that does not exist where there is none."""
    return next((path for path in files(folder) if path.stem == module), folder / f"{module}.sv")


def folders(folder: Path = RTL) -> list[Path]:
    """The folders with sources, in which a compiler looks for a module by its name."""
    return sorted({path.parent for path in files(folder)})


def parameters(design: Design) -> dict[str, int]:
    """Parameters of the top by name."""
    return {
        "Pe": design.pe,
        "Simd": design.simd,
        "Lanes": design.lanes,
        "WeightDepth": design.weight_depth,
        "ActDepth": design.act_depth,
        "FirstPe": design.first_pe,
        "ImagePixels": design.image_pixels,
        "MaxLayers": design.max_layers,
        "Vector": int(design.vector),
        "Ports": design.ports,
        "DspLanes": design.dsp_lanes,
    }
