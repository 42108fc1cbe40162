"""How one request travels: a session with its queue, its retries and its connections."""
