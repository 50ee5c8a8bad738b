CREATE TABLE network_metering_label (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	shared BOOLEAN NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX network_metering_label_project ON network_metering_label (project_id);
CREATE TABLE network_metering_label_rule (
	id VARCHAR(36) NOT NULL,
	metering_label_id VARCHAR(36) NOT NULL,
	direction VARCHAR(10) NOT NULL,
	excluded BOOLEAN NOT NULL,
	remote_ip_prefix VARCHAR(64),
	source_ip_prefix VARCHAR(64),
	destination_ip_prefix VARCHAR(64),
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(metering_label_id) REFERENCES network_metering_label (id) ON DELETE CASCADE
);
CREATE INDEX network_metering_label_rule_label ON network_metering_label_rule (metering_label_id);
CREATE TABLE network_meter_report (
	host VARCHAR(255) NOT NULL,
	batch VARCHAR(36) NOT NULL,
	PRIMARY KEY (host)
);
