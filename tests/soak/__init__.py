"""Hours of trouble in minutes: `make soak`. Not collected by pytest, for it takes as long as it is told to."""
