"""What the tiny presets learn, at full length (`make learn`)."""
