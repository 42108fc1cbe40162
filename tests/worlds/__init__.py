"""Servers that count, delay and refuse in ways of their own, in virtual time, and what a client makes of them."""
