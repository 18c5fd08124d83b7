"""S3: the real stack with two nodes and two workers, broken again and again by faults that a seed draws."""
