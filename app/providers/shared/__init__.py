"""State that the replicas of one gateway share."""
