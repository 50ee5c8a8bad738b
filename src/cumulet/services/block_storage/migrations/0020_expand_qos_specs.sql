CREATE TABLE block_storage_qos_specs (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	consumer VARCHAR(16) NOT NULL,
	specs TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id),
	UNIQUE (name)
);

ALTER TABLE block_storage_volume_type ADD COLUMN qos_specs_id VARCHAR(36);
