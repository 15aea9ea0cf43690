"""The commands, one file for each group; each is imported only when one of its commands is used."""
