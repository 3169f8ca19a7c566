"""What a running bridge is made of: each part, as the settings say. `app.py` starts them in order."""
