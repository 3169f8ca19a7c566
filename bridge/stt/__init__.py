"""Speech to text: the contract and its adapters."""
