"""The address and the credentials of Quivo, and the sources that they come from."""
