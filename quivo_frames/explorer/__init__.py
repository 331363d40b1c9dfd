"""The tables in a browser: every figure and finding leads to its orders, every order to all that is known of it."""
