"""Who leads the tempo: ourselves, a MIDI clock, an Ableton Link session."""
