ALTER TABLE network_port ADD COLUMN trunk_id VARCHAR(36);
CREATE TABLE network_trunk (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	port_id VARCHAR(36) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_trunk_port ON network_trunk (port_id);
CREATE INDEX network_trunk_project ON network_trunk (project_id);
CREATE TABLE network_subport (
	port_id VARCHAR(36) NOT NULL,
	trunk_id VARCHAR(36) NOT NULL,
	segmentation_type VARCHAR(32) NOT NULL,
	segmentation_id INTEGER NOT NULL,
	PRIMARY KEY (port_id),
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE,
	FOREIGN KEY(trunk_id) REFERENCES network_trunk (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_subport_segment ON network_subport (trunk_id, segmentation_type, segmentation_id);
