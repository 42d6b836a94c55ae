"""Where the images of the list come from: the benchmark, folders, a run's data; the rows that they give."""
