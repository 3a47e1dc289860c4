"""The question that ends the deck, "When should I use an overlay?", answered by figures of one run."""
