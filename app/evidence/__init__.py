"""Signed exports: keys, manifests and their verification."""
