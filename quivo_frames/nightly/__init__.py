"""One command a night: `sync` finds, refetches, builds, audits, exports and reports what quivo.toml names."""
