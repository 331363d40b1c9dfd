"""Order id -> answer: login, rate limit, retries, workers."""
