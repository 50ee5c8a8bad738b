CREATE TABLE identity_mapping (
	id VARCHAR(64) NOT NULL,
	rules TEXT NOT NULL,
	schema_version VARCHAR(8) NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_service_provider (
	id VARCHAR(64) NOT NULL,
	enabled BOOLEAN NOT NULL,
	description TEXT,
	auth_url VARCHAR(256) NOT NULL,
	sp_url VARCHAR(256) NOT NULL,
	relay_state_prefix VARCHAR(256) NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_spent_assertion (
	id VARCHAR(255) NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_identity_provider (
	id VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	enabled BOOLEAN NOT NULL,
	description TEXT,
	authorization_ttl INTEGER,
	PRIMARY KEY (id),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE TABLE identity_expiring_membership (
	user_id VARCHAR(64) NOT NULL,
	group_id VARCHAR(64) NOT NULL,
	idp_id VARCHAR(64) NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (user_id, group_id, idp_id),
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE,
	FOREIGN KEY(group_id) REFERENCES identity_group (id) ON DELETE CASCADE,
	FOREIGN KEY(idp_id) REFERENCES identity_identity_provider (id) ON DELETE CASCADE
);

CREATE INDEX identity_expiring_membership_group ON identity_expiring_membership (group_id);

CREATE TABLE identity_federated_user (
	idp_id VARCHAR(64) NOT NULL,
	protocol_id VARCHAR(64) NOT NULL,
	unique_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	display_name VARCHAR(255) NOT NULL,
	PRIMARY KEY (idp_id, protocol_id, unique_id),
	FOREIGN KEY(idp_id) REFERENCES identity_identity_provider (id) ON DELETE CASCADE,
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE
);

CREATE INDEX identity_federated_user_user ON identity_federated_user (user_id);

CREATE TABLE identity_protocol (
	id VARCHAR(64) NOT NULL,
	idp_id VARCHAR(64) NOT NULL,
	mapping_id VARCHAR(64) NOT NULL,
	remote_id_attribute VARCHAR(64),
	PRIMARY KEY (id, idp_id),
	FOREIGN KEY(idp_id) REFERENCES identity_identity_provider (id) ON DELETE CASCADE
);

CREATE TABLE identity_remote_id (
	remote_id VARCHAR(255) NOT NULL,
	idp_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (remote_id),
	FOREIGN KEY(idp_id) REFERENCES identity_identity_provider (id) ON DELETE CASCADE
);
