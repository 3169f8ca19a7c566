"""The pages in the browser: the console at `/` and the softphone at `/softphone`."""
