"""Pictures, folders and videos of one domain in, of the other one out."""
