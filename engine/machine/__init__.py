"""The machine: its load, memory, GPUs, terminal, file systems, and what it does to processes at logout."""
