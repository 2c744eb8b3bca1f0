"""The wire: a process that owns ports and sends bytes at their deadlines."""
