"""Views of what a model sees in an image: the prepared image, its attention, the occlusion map."""
