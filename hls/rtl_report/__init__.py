"""Synthesis report of the RTL core: yosys on every module once, resources and timing estimated from its netlists."""
