"""What the moment is like: mood, harmony and form, and the one who holds them together."""
