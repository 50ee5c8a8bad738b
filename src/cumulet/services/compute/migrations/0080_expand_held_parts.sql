CREATE TABLE compute_held_parts (
	owner VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	host VARCHAR(255) NOT NULL,
	parts TEXT NOT NULL,
	PRIMARY KEY (owner),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);
CREATE INDEX compute_held_parts_host ON compute_held_parts (host);
CREATE INDEX compute_held_parts_server ON compute_held_parts (server_id);
