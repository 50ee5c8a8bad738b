CREATE TABLE network_packet_log (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	resource_type VARCHAR(36) NOT NULL,
	resource_id VARCHAR(36),
	event VARCHAR(16) NOT NULL,
	target_id VARCHAR(36),
	enabled BOOLEAN NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(resource_id) REFERENCES network_security_group (id) ON DELETE CASCADE,
	FOREIGN KEY(target_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE INDEX network_packet_log_project ON network_packet_log (project_id);
CREATE INDEX network_packet_log_resource ON network_packet_log (resource_id);
CREATE INDEX network_packet_log_target ON network_packet_log (target_id);
