"""What `phone-bridge doctor` looks at: each check gives findings, with what is wrong and how to mend it."""
