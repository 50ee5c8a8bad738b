-- Hosts that are known get their further agents here; their ids are the host's with another version digit.
CREATE TABLE network_host_agent (
	id VARCHAR(36) NOT NULL,
	agent_id VARCHAR(36) NOT NULL,
	agent_type VARCHAR(32) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	description VARCHAR(255),
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(agent_id) REFERENCES network_agent (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_host_agent_kind ON network_host_agent (agent_id, agent_type);
INSERT INTO network_host_agent (id, agent_id, agent_type, admin_state_up, description, created_at)
	SELECT substr(id, 1, 14) || '8' || substr(id, 16), id, 'DHCP agent', admin_state_up, NULL, created_at FROM network_agent;
INSERT INTO network_host_agent (id, agent_id, agent_type, admin_state_up, description, created_at)
	SELECT substr(id, 1, 14) || '9' || substr(id, 16), id, 'L3 agent', admin_state_up, NULL, created_at FROM network_agent;
INSERT INTO network_host_agent (id, agent_id, agent_type, admin_state_up, description, created_at)
	SELECT substr(id, 1, 14) || 'a' || substr(id, 16), id, 'Metadata agent', admin_state_up, NULL, created_at FROM network_agent;
