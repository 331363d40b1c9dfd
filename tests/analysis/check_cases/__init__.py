"""Three cases a check, by room: when it speaks, what is nearly the same, and what leaves it nothing to judge."""
