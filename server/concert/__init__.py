"""A scene at play: what is planned, what has begun, and every change that can be asked for."""
