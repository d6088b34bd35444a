"""What everything else stands on: errors, progress, configs, paths, devices, memory. No voxel is touched here."""
