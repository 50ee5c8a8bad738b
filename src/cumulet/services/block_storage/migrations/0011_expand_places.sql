CREATE INDEX block_storage_volume_place ON block_storage_volume (host, backend, size, extending_to);
