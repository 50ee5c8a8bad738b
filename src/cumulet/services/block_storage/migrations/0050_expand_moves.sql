CREATE TABLE block_storage_move (
	volume_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	size INTEGER NOT NULL,
	type_id VARCHAR(36),
	multiattach BOOLEAN,
	host VARCHAR(255) NOT NULL,
	backend VARCHAR(255) NOT NULL,
	generation INTEGER NOT NULL,
	attached BOOLEAN NOT NULL,
	PRIMARY KEY (volume_id)
);

CREATE INDEX block_storage_move_place ON block_storage_move (host, backend, size);

CREATE INDEX block_storage_move_project ON block_storage_move (project_id);
