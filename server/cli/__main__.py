"""`python -m server.cli`: the same as `componium`."""

from . import main

if __name__ == "__main__":
    main()
