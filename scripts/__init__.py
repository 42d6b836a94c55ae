"""What `make` runs beside the tests: figures and pictures."""
