"""The chapters of the guide: one module a system of the deck, found by listing this folder."""
