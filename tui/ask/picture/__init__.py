"""The chosen image: beside the answer and large, in views of what a model sees in it."""
