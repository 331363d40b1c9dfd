"""What an order is: its description, the tables derived from it, and the records and messages about orders."""
