ALTER TABLE identity_application_credential ADD COLUMN access_rule_ids TEXT;

CREATE TABLE identity_access_rule (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	service VARCHAR(64) NOT NULL,
	path VARCHAR(255) NOT NULL,
	method VARCHAR(16) NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT identity_access_rule_words UNIQUE (user_id, service, path, method),
	FOREIGN KEY(user_id) REFERENCES identity_user (id) ON DELETE CASCADE
);

CREATE TABLE identity_trust (
	id VARCHAR(64) NOT NULL,
	trustor_user_id VARCHAR(64) NOT NULL,
	trustee_user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	impersonation BOOLEAN NOT NULL,
	role_ids TEXT NOT NULL,
	expires_at DATETIME,
	remaining_uses INTEGER,
	redelegated_trust_id VARCHAR(64),
	redelegation_count INTEGER NOT NULL,
	deleted_at DATETIME,
	extra TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX identity_trust_trustor ON identity_trust (trustor_user_id);
CREATE INDEX identity_trust_trustee ON identity_trust (trustee_user_id);
CREATE INDEX identity_trust_project ON identity_trust (project_id);
CREATE INDEX identity_trust_redelegated ON identity_trust (redelegated_trust_id);

ALTER TABLE identity_revocation ADD COLUMN trust_id VARCHAR(64);
ALTER TABLE identity_revocation ADD COLUMN consumer_id VARCHAR(64);
ALTER TABLE identity_revocation ADD COLUMN access_token_id VARCHAR(64);

CREATE INDEX identity_revocation_trust ON identity_revocation (trust_id);
CREATE INDEX identity_revocation_consumer ON identity_revocation (consumer_id);
CREATE INDEX identity_revocation_access_token ON identity_revocation (access_token_id);
