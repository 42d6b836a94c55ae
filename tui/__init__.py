"""looptop's terminal app: shows what the engine wrote, and lets a person drive it."""
