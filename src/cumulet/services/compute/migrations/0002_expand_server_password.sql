CREATE TABLE compute_server_password (
	server_id VARCHAR(64) NOT NULL,
	password TEXT NOT NULL,
	PRIMARY KEY (server_id),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);
