"""Clips encoded once and kept: the manifest, the store, the validation split and the ledger."""
