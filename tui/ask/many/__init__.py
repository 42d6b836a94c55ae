"""Questions about many images: what is asked, the answers, and their table."""
