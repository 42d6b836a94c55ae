"""Opens the images that people bring, and names the formats that are not supported. Needs no torch."""
