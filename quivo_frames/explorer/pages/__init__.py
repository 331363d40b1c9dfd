"""The pages of the explorer, one module each: what is asked for, what is read, and the template that shows it."""
