"""The resources of an account other than its metrics, one module each."""
