CREATE TABLE compute_console_token (
	hash VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	display VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	path VARCHAR(255) NOT NULL,
	address VARCHAR(255) NOT NULL,
	port INTEGER NOT NULL,
	uses INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (hash),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);
CREATE INDEX compute_console_token_expiry ON compute_console_token (expires_at);
CREATE INDEX compute_console_token_server ON compute_console_token (server_id);
