"""How far an answer can be trusted: calibrated confidence, and doubts about words and images new to the model."""
