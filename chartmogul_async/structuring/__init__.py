"""Bytes into frozen records, and bodies of error responses into messages."""
