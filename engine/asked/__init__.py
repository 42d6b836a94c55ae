"""The questions that were asked and their answers: kept in looptop's home, searched, exported."""
