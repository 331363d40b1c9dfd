"""Three cases for each check, by module: what it must find, what it must not, and what lacks a field it needs."""
