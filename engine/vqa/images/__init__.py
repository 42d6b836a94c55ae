"""Images that people bring: their files, folders of them, lists of them with questions, filters. Needs no torch."""
