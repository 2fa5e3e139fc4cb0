"""What finished runs come to beside each other: compare trains them, and the rest reads, tests, draws and writes."""
