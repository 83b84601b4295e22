"""Encode clips once and keep the features: manifest, store, validation split and ledger."""
