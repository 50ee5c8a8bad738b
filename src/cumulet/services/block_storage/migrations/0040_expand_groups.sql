CREATE TABLE block_storage_group_type (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	is_public BOOLEAN NOT NULL,
	group_specs TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id),
	UNIQUE (name)
);

CREATE TABLE block_storage_group (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	status VARCHAR(32) NOT NULL,
	group_type_id VARCHAR(36) NOT NULL,
	volume_types TEXT NOT NULL,
	availability_zone VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	backend VARCHAR(255) NOT NULL,
	group_snapshot_id VARCHAR(36),
	source_group_id VARCHAR(36),
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_group_project ON block_storage_group (project_id, created_at);

CREATE TABLE block_storage_group_snapshot (
	id VARCHAR(36) NOT NULL,
	group_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	status VARCHAR(32) NOT NULL,
	group_type_id VARCHAR(36) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_group_snapshot_group ON block_storage_group_snapshot (group_id);

CREATE INDEX block_storage_group_snapshot_project ON block_storage_group_snapshot (project_id, created_at);

ALTER TABLE block_storage_volume ADD COLUMN group_id VARCHAR(36);

CREATE INDEX block_storage_volume_group ON block_storage_volume (group_id);

ALTER TABLE block_storage_snapshot ADD COLUMN group_snapshot_id VARCHAR(36);

CREATE INDEX block_storage_snapshot_group ON block_storage_snapshot (group_snapshot_id);
