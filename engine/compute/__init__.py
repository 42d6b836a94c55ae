"""Where and how to compute: device, threads, precision, and what to do when memory runs out."""
