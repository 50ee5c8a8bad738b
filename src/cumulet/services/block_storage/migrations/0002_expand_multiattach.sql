ALTER TABLE block_storage_volume ADD COLUMN multiattach BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE block_storage_volume ADD COLUMN migration_status VARCHAR(32);
