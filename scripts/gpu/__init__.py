"""What must hold on a GPU, shown by one script (`make gpu`); docs/gpu.md says how to run it and what it has shown."""
