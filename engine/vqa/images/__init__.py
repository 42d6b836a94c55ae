"""Opens the images that people bring, and names the formats that are not read. Needs no torch."""
