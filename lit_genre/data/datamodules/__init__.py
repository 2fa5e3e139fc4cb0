"""Data sets as LightningDataModules: decode once, report missing tracks, and serve splits in batches."""
