"""What the machine offers: its load, GPUs, terminal and file systems, and what it does with processes at logout."""
