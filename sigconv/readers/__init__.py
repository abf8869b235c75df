"""The one door for files from elsewhere, one format a file: a size is checked against the file before it is believed.

A bad file raises ValueError or OSError with one line that names it.
"""
