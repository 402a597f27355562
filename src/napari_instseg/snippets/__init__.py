"""What a dock does as lines of Python, and as a command: to be copied, and run as they are."""
