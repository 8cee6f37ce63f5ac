"""A simulated PYNQ-Z1: the gRPC services that pynq calls on a remote board, on a simulated accelerator.

python -m sim.board --design pynq_z1
"""
