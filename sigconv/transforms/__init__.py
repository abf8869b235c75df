"""Raw material to (channels, *space): one domain a file."""
