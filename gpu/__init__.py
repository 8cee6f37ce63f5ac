"""The packed network on an NVIDIA GPU, or on a simulated one."""
