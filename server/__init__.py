"""Componium: parts, time, the wire and the desk."""
