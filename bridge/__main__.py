"""`python -m bridge` is the command `phone-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
