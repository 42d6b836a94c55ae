"""Answers to questions about images: the model that answers, its answers as records, many questions at once."""
