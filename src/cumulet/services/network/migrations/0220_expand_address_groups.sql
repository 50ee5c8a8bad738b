CREATE TABLE network_address_group (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	addresses TEXT NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX network_address_group_project ON network_address_group (project_id);
ALTER TABLE network_security_group_rule ADD COLUMN remote_address_group_id VARCHAR(36) REFERENCES network_address_group (id);
CREATE INDEX network_security_group_rule_addresses ON network_security_group_rule (remote_address_group_id);
