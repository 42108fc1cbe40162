"""What can be asked of a ChartMogul account, and what comes back."""
