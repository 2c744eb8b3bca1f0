"""Music is measured: scores from renders and files, measures on them, corpora to compare with."""
