CREATE TABLE compute_migration (
	id INTEGER NOT NULL,
	uuid VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	status VARCHAR(255) NOT NULL,
	source VARCHAR(255) NOT NULL,
	destination VARCHAR(255),
	old_flavor TEXT NOT NULL,
	new_flavor TEXT NOT NULL,
	old_state VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT compute_migration_uuid UNIQUE (uuid),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);

CREATE INDEX compute_migration_server ON compute_migration (server_id);

CREATE INDEX compute_migration_status ON compute_migration (status);
