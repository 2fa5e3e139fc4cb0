"""Download, verify, unpack and decode FMA."""
