"""Which training questions a run finds hard, and what a person corrects: losses by epoch, new answers, exclusions."""
