"""What keeps the house running: settings, health, threads, the look at the machine."""
