"""What is measured in a recording."""
