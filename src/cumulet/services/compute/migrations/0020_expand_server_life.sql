CREATE TABLE compute_server_life (
	server_id VARCHAR(64) NOT NULL,
	shelved_at DATETIME,
	shelved_image_id VARCHAR(64),
	rescue TEXT,
	soft_deleted_at DATETIME,
	PRIMARY KEY (server_id),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);
CREATE TABLE compute_backup (
	image_id VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (image_id),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);
CREATE INDEX compute_backup_server ON compute_backup (server_id);
