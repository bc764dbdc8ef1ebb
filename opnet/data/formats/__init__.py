"""Other people's files, one format a file; each is checked before it is believed."""
