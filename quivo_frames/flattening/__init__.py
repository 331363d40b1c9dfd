"""The JSON of orders -> validated tables, and back: decode, collect, convert, batch, flatten, validate. No I/O."""
