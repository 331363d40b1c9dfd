"""Tools by which an assistant (a language model) reads the tables: a Model Context Protocol server over stdio."""
