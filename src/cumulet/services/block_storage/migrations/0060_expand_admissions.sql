CREATE TABLE block_storage_admission (
	volume_id VARCHAR(36) NOT NULL,
	initiator VARCHAR(255) NOT NULL,
	generation INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (volume_id, initiator)
);
