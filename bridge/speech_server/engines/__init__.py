"""One file for each library that recognises, detects or speaks."""
