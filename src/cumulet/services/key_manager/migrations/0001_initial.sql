CREATE TABLE key_manager_acl (
	owner_id VARCHAR(36) NOT NULL,
	project_access BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (owner_id)
);

CREATE TABLE key_manager_container (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	creator_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	type VARCHAR(20) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX key_manager_container_project ON key_manager_container (project_id, created_at);

CREATE TABLE key_manager_key (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	created_at DATETIME NOT NULL,
	retired_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX key_manager_key_project ON key_manager_key (project_id);

CREATE TABLE key_manager_order (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	creator_id VARCHAR(64) NOT NULL,
	type VARCHAR(20) NOT NULL,
	status VARCHAR(20) NOT NULL,
	meta TEXT NOT NULL,
	secret_id VARCHAR(36),
	container_id VARCHAR(36),
	error_status_code VARCHAR(16),
	error_reason VARCHAR(255),
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX key_manager_order_project ON key_manager_order (project_id, created_at);

CREATE TABLE key_manager_preferred_store (
	project_id VARCHAR(64) NOT NULL,
	store_id VARCHAR(36) NOT NULL,
	PRIMARY KEY (project_id)
);

CREATE TABLE key_manager_project_quota (
	project_id VARCHAR(255) NOT NULL,
	secrets INTEGER,
	orders INTEGER,
	containers INTEGER,
	consumers INTEGER,
	cas INTEGER,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (project_id)
);

CREATE TABLE key_manager_secret (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	creator_id VARCHAR(64) NOT NULL,
	name VARCHAR(255),
	secret_type VARCHAR(80) NOT NULL,
	expiration DATETIME,
	algorithm VARCHAR(255),
	bit_length INTEGER,
	mode VARCHAR(255),
	content_type VARCHAR(255),
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX key_manager_secret_project ON key_manager_secret (project_id, created_at);

CREATE TABLE key_manager_acl_user (
	owner_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	PRIMARY KEY (owner_id, user_id),
	FOREIGN KEY(owner_id) REFERENCES key_manager_acl (owner_id) ON DELETE CASCADE
);

CREATE INDEX key_manager_acl_user_user ON key_manager_acl_user (user_id);

CREATE TABLE key_manager_container_consumer (
	id VARCHAR(36) NOT NULL,
	container_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	name VARCHAR(36) NOT NULL,
	url VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (container_id, name, url),
	FOREIGN KEY(container_id) REFERENCES key_manager_container (id) ON DELETE CASCADE
);

CREATE INDEX key_manager_container_consumer_project ON key_manager_container_consumer (project_id);

CREATE TABLE key_manager_container_secret (
	container_id VARCHAR(36) NOT NULL,
	position INTEGER NOT NULL,
	secret_id VARCHAR(36) NOT NULL,
	name VARCHAR(255),
	PRIMARY KEY (container_id, position),
	FOREIGN KEY(container_id) REFERENCES key_manager_container (id) ON DELETE CASCADE,
	FOREIGN KEY(secret_id) REFERENCES key_manager_secret (id) ON DELETE CASCADE
);

CREATE INDEX key_manager_container_secret_secret ON key_manager_container_secret (secret_id);

CREATE TABLE key_manager_payload (
	id VARCHAR(36) NOT NULL,
	key_id VARCHAR(36) NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(key_id) REFERENCES key_manager_key (id)
);

CREATE INDEX key_manager_payload_key ON key_manager_payload (key_id);

CREATE TABLE key_manager_secret_consumer (
	id VARCHAR(36) NOT NULL,
	secret_id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	service VARCHAR(255) NOT NULL,
	resource_type VARCHAR(255) NOT NULL,
	resource_id VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (secret_id, service, resource_type, resource_id),
	FOREIGN KEY(secret_id) REFERENCES key_manager_secret (id) ON DELETE CASCADE
);

CREATE INDEX key_manager_secret_consumer_project ON key_manager_secret_consumer (project_id);

CREATE TABLE key_manager_secret_metadatum (
	secret_id VARCHAR(36) NOT NULL,
	"key" VARCHAR(255) NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (secret_id, "key"),
	FOREIGN KEY(secret_id) REFERENCES key_manager_secret (id) ON DELETE CASCADE
);
