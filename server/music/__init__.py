"""Pure values and functions of music: pitch, scale, chord, note value, metre, groove, drums."""
