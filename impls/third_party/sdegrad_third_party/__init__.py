"""One module per library: names and shapes only. README.md beside this package says what each can do."""
