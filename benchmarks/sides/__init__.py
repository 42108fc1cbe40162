"""The sides of the comparisons: functions that do some work in a fresh process and tell what it took."""
