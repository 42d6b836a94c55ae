"""The base of looptop's trainers, and the callback that makes any Trainer a run."""
