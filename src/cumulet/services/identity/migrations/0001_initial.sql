CREATE TABLE identity_credential (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	type VARCHAR(255) NOT NULL,
	blob TEXT NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX identity_credential_user ON identity_credential (user_id);

CREATE TABLE identity_epoch (
	id INTEGER NOT NULL,
	value INTEGER NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_project (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64),
	parent_id VARCHAR(64),
	description TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	is_domain BOOLEAN NOT NULL,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_project_name UNIQUE (domain_id, name),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id),
	FOREIGN KEY(parent_id) REFERENCES identity_project (id)
);

CREATE UNIQUE INDEX identity_domain_name ON identity_project (name) WHERE domain_id IS NULL;

CREATE INDEX identity_project_parent ON identity_project (parent_id);

CREATE TABLE identity_region (
	id VARCHAR(255) NOT NULL,
	description TEXT NOT NULL,
	parent_region_id VARCHAR(255),
	extra TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(parent_region_id) REFERENCES identity_region (id)
);

CREATE INDEX identity_region_parent ON identity_region (parent_region_id);

CREATE TABLE identity_revocation (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64),
	project_id VARCHAR(64),
	domain_id VARCHAR(64),
	audit_id VARCHAR(32),
	audit_chain_id VARCHAR(32),
	issued_before DATETIME NOT NULL,
	revoked_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX identity_revocation_age ON identity_revocation (revoked_at);

CREATE INDEX identity_revocation_audit ON identity_revocation (audit_id);

CREATE INDEX identity_revocation_chain ON identity_revocation (audit_chain_id);

CREATE INDEX identity_revocation_domain ON identity_revocation (domain_id);

CREATE INDEX identity_revocation_project ON identity_revocation (project_id);

CREATE INDEX identity_revocation_user ON identity_revocation (user_id);

CREATE TABLE identity_service (
	id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	enabled BOOLEAN NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_endpoint (
	id VARCHAR(64) NOT NULL,
	interface VARCHAR(8) NOT NULL,
	region_id VARCHAR(255),
	service_id VARCHAR(64) NOT NULL,
	url TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(region_id) REFERENCES identity_region (id),
	FOREIGN KEY(service_id) REFERENCES identity_service (id) ON DELETE CASCADE
);

CREATE INDEX identity_endpoint_service ON identity_endpoint (service_id);

CREATE TABLE identity_group (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	description TEXT NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_group_name UNIQUE (domain_id, name),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id)
);

CREATE TABLE identity_registered_limit (
	id VARCHAR(64) NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	region_id VARCHAR(255),
	resource_name VARCHAR(255) NOT NULL,
	default_limit INTEGER NOT NULL,
	description TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(service_id) REFERENCES identity_service (id) ON DELETE CASCADE,
	FOREIGN KEY(region_id) REFERENCES identity_region (id)
);

CREATE TABLE identity_role (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64),
	description TEXT,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_role_name UNIQUE (domain_id, name),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id)
);

CREATE UNIQUE INDEX identity_global_role_name ON identity_role (name) WHERE domain_id IS NULL;

CREATE TABLE identity_tag (
	project_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	PRIMARY KEY (project_id, name),
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE TABLE identity_user (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	default_project_id VARCHAR(64),
	enabled BOOLEAN NOT NULL,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_user_name UNIQUE (domain_id, name),
	FOREIGN KEY(domain_id) REFERENCES identity_project (id)
);

CREATE INDEX identity_user_default_project ON identity_user (default_project_id);

CREATE TABLE identity_application_credential (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	hash VARCHAR(255) NOT NULL,
	unrestricted BOOLEAN,
	role_ids TEXT NOT NULL,
	expires_at DATETIME,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_application_credential_name UNIQUE (user_id, name),
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE,
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE TABLE identity_assignment (
	actor VARCHAR(8) NOT NULL,
	actor_id VARCHAR(64) NOT NULL,
	target VARCHAR(8) NOT NULL,
	target_id VARCHAR(64) NOT NULL,
	role_id VARCHAR(64) NOT NULL,
	inherited BOOLEAN NOT NULL,
	PRIMARY KEY (actor, actor_id, target, target_id, role_id, inherited),
	FOREIGN KEY(role_id) REFERENCES identity_role (id) ON DELETE CASCADE
);

CREATE INDEX identity_assignment_target ON identity_assignment (target, target_id);

CREATE TABLE identity_implied_role (
	prior_id VARCHAR(64) NOT NULL,
	implied_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (prior_id, implied_id),
	FOREIGN KEY(prior_id) REFERENCES identity_role (id) ON DELETE CASCADE,
	FOREIGN KEY(implied_id) REFERENCES identity_role (id) ON DELETE CASCADE
);

CREATE TABLE identity_limit (
	id VARCHAR(64) NOT NULL,
	registered_limit_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	domain_id VARCHAR(64),
	resource_limit INTEGER NOT NULL,
	description TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(registered_limit_id) REFERENCES identity_registered_limit (id) ON DELETE CASCADE
);

CREATE TABLE identity_membership (
	group_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (group_id, user_id),
	FOREIGN KEY(group_id) REFERENCES identity_group (id) ON DELETE CASCADE,
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE
);

CREATE INDEX identity_membership_user ON identity_membership (user_id);

CREATE TABLE identity_password (
	user_id VARCHAR(64) NOT NULL,
	hash VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (user_id),
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE
);
