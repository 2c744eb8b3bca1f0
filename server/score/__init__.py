"""What a scene is, and how it is read from files."""
