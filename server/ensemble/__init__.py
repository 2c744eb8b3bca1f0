"""The parts: symbols become notes under a strip, and the bytes of MIDI and OSC."""
