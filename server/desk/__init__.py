"""The one door for control: a typed tree of parameters and commands, and its transports."""
