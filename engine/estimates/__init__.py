"""What a run will need, known before it starts: its data, steps, parameters and memory."""
