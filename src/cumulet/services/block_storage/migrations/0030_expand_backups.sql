CREATE TABLE block_storage_backup (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	volume_id VARCHAR(36) NOT NULL,
	snapshot_id VARCHAR(36),
	parent_id VARCHAR(36),
	status VARCHAR(32) NOT NULL,
	fail_reason VARCHAR(255),
	size INTEGER NOT NULL,
	object_count INTEGER NOT NULL,
	container VARCHAR(255),
	availability_zone VARCHAR(255),
	host VARCHAR(255) NOT NULL,
	service VARCHAR(255),
	service_metadata VARCHAR(255),
	encryption_key_id VARCHAR(36),
	restore_volume_id VARCHAR(36),
	metadata TEXT NOT NULL,
	data_timestamp DATETIME NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_backup_parent ON block_storage_backup (parent_id);

CREATE INDEX block_storage_backup_project ON block_storage_backup (project_id, created_at);

CREATE INDEX block_storage_backup_volume ON block_storage_backup (volume_id);

CREATE TABLE block_storage_backup_service (
	host VARCHAR(255) NOT NULL,
	disabled_reason VARCHAR(255),
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (host)
);
