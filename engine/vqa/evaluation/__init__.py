"""Evaluates a model on a split of questions: what it answered, how far its figures can be trusted, where it fails."""
