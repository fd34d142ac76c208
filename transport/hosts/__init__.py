"""What is known about particular servers, none of which is imported."""
