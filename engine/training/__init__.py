"""What every trainer of looptop shares, and the callback that makes any Trainer a run."""
