CREATE TABLE network_segment_range (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255),
	name VARCHAR(255) NOT NULL,
	is_default BOOLEAN NOT NULL,
	shared BOOLEAN NOT NULL,
	network_type VARCHAR(32) NOT NULL,
	physical_network VARCHAR(64) NOT NULL,
	minimum BIGINT NOT NULL,
	maximum BIGINT NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_segment_range_type ON network_segment_range (network_type);
