"""What a command prints, whatever the verb."""
