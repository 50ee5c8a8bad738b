CREATE TABLE network_dhcp_choice (
	network_id VARCHAR(36) NOT NULL,
	agent_id VARCHAR(36) NOT NULL,
	hosted BOOLEAN NOT NULL,
	PRIMARY KEY (network_id, agent_id),
	FOREIGN KEY(network_id) REFERENCES network_network (id) ON DELETE CASCADE,
	FOREIGN KEY(agent_id) REFERENCES network_host_agent (id) ON DELETE CASCADE
);
CREATE INDEX network_dhcp_choice_agent ON network_dhcp_choice (agent_id);
ALTER TABLE network_network ADD COLUMN dhcp_served BOOLEAN NOT NULL DEFAULT true;
