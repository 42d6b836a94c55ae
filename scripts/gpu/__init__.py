"""The checks of looptop on a GPU (`make gpu`); docs/gpu.md explains how to run them and has their latest results."""
