"""What every peer's sender shares: its arguments, and the busy thread beside it."""

import argparse
import threading
import time


def options() -> argparse.Namespace:
    ask = argparse.ArgumentParser()
    ask.add_argument("--port", type=int, required=True)
    ask.add_argument("--parts", type=int, default=16)
    ask.add_argument("--seconds", type=float, default=12)
    ask.add_argument("--busy", action="store_true")
    return ask.parse_args()


def think_hard() -> None:
    value = 1
    while True:
        for _ in range(10_000):
            value = (value * 6364136223846793005 + 1442695040888963407) % 2**64


def start_busy(busy: bool) -> None:
    """Compute in a thread of this process, as an engine that thinks hard would."""
    if busy:
        threading.Thread(target=think_hard, daemon=True).start()


def end_after(seconds: float) -> None:
    """Leave this process after so long, whatever its threads do."""
    import os

    def leave() -> None:
        time.sleep(seconds)
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()
