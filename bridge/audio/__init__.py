"""Sound as bytes: mu-law, resampling, WAV files. Pure."""
