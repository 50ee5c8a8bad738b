ALTER TABLE identity_password ADD COLUMN expires_at DATETIME;

ALTER TABLE identity_password ADD COLUMN self_service BOOLEAN DEFAULT false NOT NULL;

CREATE TABLE identity_account (
	user_id VARCHAR(64) NOT NULL,
	failures INTEGER NOT NULL,
	failed_at DATETIME,
	last_active_at DATETIME,
	PRIMARY KEY (user_id)
);

CREATE TABLE identity_directory_entry (
	id VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	kind VARCHAR(8) NOT NULL,
	local_id VARCHAR(255) NOT NULL,
	refreshed_at DATETIME NOT NULL,
	used_at DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT identity_directory_entry_local_id UNIQUE (domain_id, kind, local_id),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE INDEX identity_directory_entry_use ON identity_directory_entry (used_at);

CREATE TABLE identity_domain_option (
	domain_id VARCHAR(64) NOT NULL,
	section VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	value TEXT,
	PRIMARY KEY (domain_id, section, name),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE TABLE identity_former_password (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	hash VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE
);

CREATE INDEX identity_former_password_user ON identity_former_password (user_id);
