"""Where and how to compute: device, threads, precision, and memory that ran out."""
