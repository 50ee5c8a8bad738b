CREATE TABLE block_storage_attachment (
	id VARCHAR(36) NOT NULL,
	volume_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	server_id VARCHAR(36),
	host VARCHAR(255),
	device VARCHAR(255),
	status VARCHAR(32) NOT NULL,
	mode VARCHAR(8),
	connector TEXT,
	generation INTEGER NOT NULL,
	managed BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	attached_at DATETIME,
	detached_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_attachment_server ON block_storage_attachment (server_id);

CREATE INDEX block_storage_attachment_volume ON block_storage_attachment (volume_id);

CREATE TABLE block_storage_backend (
	host VARCHAR(255) NOT NULL,
	availability_zone VARCHAR(255) NOT NULL,
	disabled BOOLEAN NOT NULL,
	disabled_reason VARCHAR(255),
	report TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	heard_at DATETIME NOT NULL,
	PRIMARY KEY (host)
);

CREATE TABLE block_storage_default_type (
	project_id VARCHAR(64) NOT NULL,
	volume_type_id VARCHAR(36) NOT NULL,
	PRIMARY KEY (project_id)
);

CREATE TABLE block_storage_message (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	resource_type VARCHAR(32) NOT NULL,
	resource_id VARCHAR(36) NOT NULL,
	action VARCHAR(8) NOT NULL,
	detail VARCHAR(8) NOT NULL,
	level VARCHAR(16) NOT NULL,
	created_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE block_storage_quota_limit (
	project_id VARCHAR(300) NOT NULL,
	resource VARCHAR(300) NOT NULL,
	"limit" INTEGER NOT NULL,
	PRIMARY KEY (project_id, resource)
);

CREATE TABLE block_storage_snapshot (
	id VARCHAR(36) NOT NULL,
	volume_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	size INTEGER NOT NULL,
	status VARCHAR(32) NOT NULL,
	progress INTEGER NOT NULL,
	volume_type_id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	metadata TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_snapshot_project ON block_storage_snapshot (project_id, created_at);

CREATE INDEX block_storage_snapshot_volume ON block_storage_snapshot (volume_id);

CREATE TABLE block_storage_transfer (
	id VARCHAR(36) NOT NULL,
	volume_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	salt VARCHAR(64) NOT NULL,
	key_hash VARCHAR(64) NOT NULL,
	no_snapshots BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (volume_id)
);

CREATE TABLE block_storage_type_access (
	volume_type_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (volume_type_id, project_id)
);

CREATE TABLE block_storage_volume (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	size INTEGER NOT NULL,
	status VARCHAR(32) NOT NULL,
	previous_status VARCHAR(32),
	extending_to INTEGER,
	bootable BOOLEAN NOT NULL,
	read_only BOOLEAN,
	volume_type_id VARCHAR(36) NOT NULL,
	availability_zone VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	snapshot_id VARCHAR(36),
	source_volume_id VARCHAR(36),
	image_id VARCHAR(36),
	image_metadata TEXT,
	metadata TEXT NOT NULL,
	generation INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX block_storage_volume_project ON block_storage_volume (project_id, created_at);

CREATE TABLE block_storage_volume_type (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	is_public BOOLEAN NOT NULL,
	extra_specs TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id),
	UNIQUE (name)
);
