"""Reports of runs: what made a result, as JSON to repeat it, and as a page with pictures to look at it."""
