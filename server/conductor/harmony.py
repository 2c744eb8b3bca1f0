def bridge(old, new, beats): return []
def enrich(chord, key, extension, dissonance, choice): return chord
