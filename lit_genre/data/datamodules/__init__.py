"""LightningDataModules: FMA, GTZAN, folders and lists of a user, and files to predict."""
