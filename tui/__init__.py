"""looptop's terminal app: shows what the engine wrote, asks what the person wants."""
