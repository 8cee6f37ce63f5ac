"""Planner: turns a model and a design into the program that the accelerator runs."""
