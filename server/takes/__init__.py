"""What is kept of a performance: lines, logs, MIDI files, notation, pictures."""
