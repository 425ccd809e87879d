"""`python -m dltrain`: the command line."""

from dltrain.cli import main

if __name__ == "__main__":
    main()
