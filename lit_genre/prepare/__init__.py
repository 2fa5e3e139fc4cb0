"""FMA from its server to the disk: downloaded, verified, unpacked and decoded."""
