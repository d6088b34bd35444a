"""Models made with other tools: preprocessing, sliding window and labels as their reference does them."""
