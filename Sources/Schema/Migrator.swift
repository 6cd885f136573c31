/// Replaced by the migrator.
