CREATE TABLE identity_endpoint_group (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	filters TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_project_endpoint (
	project_id VARCHAR(64) NOT NULL,
	endpoint_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (project_id, endpoint_id),
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE,
	FOREIGN KEY(endpoint_id) REFERENCES identity_endpoint (id) ON DELETE CASCADE
);

CREATE TABLE identity_project_endpoint_group (
	project_id VARCHAR(64) NOT NULL,
	endpoint_group_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (project_id, endpoint_group_id),
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE,
	FOREIGN KEY(endpoint_group_id) REFERENCES identity_endpoint_group (id) ON DELETE CASCADE
);

CREATE TABLE identity_stored_policy (
	id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	blob TEXT NOT NULL,
	extra TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_policy_association (
	id VARCHAR(64) NOT NULL,
	policy_id VARCHAR(64) NOT NULL,
	endpoint_id VARCHAR(64),
	service_id VARCHAR(64),
	region_id VARCHAR(255),
	PRIMARY KEY (id),
	FOREIGN KEY(policy_id) REFERENCES identity_stored_policy (id) ON DELETE CASCADE,
	FOREIGN KEY(endpoint_id) REFERENCES identity_endpoint (id) ON DELETE CASCADE,
	FOREIGN KEY(service_id) REFERENCES identity_service (id) ON DELETE CASCADE,
	FOREIGN KEY(region_id) REFERENCES identity_region (id) ON DELETE CASCADE
);

CREATE INDEX identity_policy_association_policy ON identity_policy_association (policy_id);

CREATE TABLE identity_consumer (
	id VARCHAR(64) NOT NULL,
	description TEXT,
	extra TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE identity_request_token (
	id VARCHAR(64) NOT NULL,
	consumer_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64),
	role_ids TEXT,
	verifier VARCHAR(64),
	expires_at DATETIME,
	PRIMARY KEY (id),
	FOREIGN KEY(consumer_id) REFERENCES identity_consumer (id) ON DELETE CASCADE,
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE TABLE identity_access_token (
	id VARCHAR(64) NOT NULL,
	consumer_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	role_ids TEXT NOT NULL,
	expires_at DATETIME,
	PRIMARY KEY (id),
	FOREIGN KEY(consumer_id) REFERENCES identity_consumer (id) ON DELETE CASCADE,
	FOREIGN KEY(project_id) REFERENCES identity_project (id) ON DELETE CASCADE
);

CREATE INDEX identity_access_token_user ON identity_access_token (user_id);
