"""The list of images on Ask: shown as a list or a gallery, filtered, searched, and where it is opened from."""
