ALTER TABLE block_storage_volume_type ADD COLUMN encryption TEXT;
ALTER TABLE block_storage_volume ADD COLUMN encryption_key_id VARCHAR(64);
ALTER TABLE block_storage_snapshot ADD COLUMN encryption_key_id VARCHAR(64);
ALTER TABLE block_storage_attachment ADD COLUMN key_host VARCHAR(255);
