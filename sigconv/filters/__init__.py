"""Filter banks, one family a file."""
