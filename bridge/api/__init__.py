"""What people's programs ask of a running bridge: the API below `/api/v1`, and who may ask."""
