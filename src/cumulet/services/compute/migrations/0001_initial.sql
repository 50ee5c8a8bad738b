CREATE TABLE compute_aggregate (
	id INTEGER NOT NULL,
	uuid VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	metadata TEXT NOT NULL,
	hosts TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT compute_aggregate_name UNIQUE (name)
);

CREATE TABLE compute_flavor (
	id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	ram INTEGER NOT NULL,
	vcpus INTEGER NOT NULL,
	disk INTEGER NOT NULL,
	ephemeral INTEGER NOT NULL,
	swap INTEGER NOT NULL,
	rxtx_factor FLOAT NOT NULL,
	is_public BOOLEAN NOT NULL,
	disabled BOOLEAN NOT NULL,
	description TEXT,
	extra_specs TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT compute_flavor_name UNIQUE (name)
);

CREATE TABLE compute_host (
	name VARCHAR(255) NOT NULL,
	id VARCHAR(64) NOT NULL,
	number INTEGER NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	capabilities TEXT NOT NULL,
	usage TEXT NOT NULL,
	disabled BOOLEAN NOT NULL,
	disabled_reason TEXT,
	forced_down BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (name),
	CONSTRAINT compute_host_id UNIQUE (id),
	CONSTRAINT compute_host_number UNIQUE (number)
);

CREATE TABLE compute_keypair (
	id INTEGER NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	type VARCHAR(255) NOT NULL,
	fingerprint VARCHAR(255) NOT NULL,
	public_key TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (user_id, name),
	CONSTRAINT compute_keypair_id UNIQUE (id)
);

CREATE TABLE compute_quota_limit (
	scope VARCHAR(255) NOT NULL,
	resource VARCHAR(255) NOT NULL,
	hard_limit INTEGER NOT NULL,
	PRIMARY KEY (scope, resource)
);

CREATE TABLE compute_server (
	id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	hostname VARCHAR(255) NOT NULL,
	vm_state VARCHAR(255) NOT NULL,
	task_state VARCHAR(255),
	power_state INTEGER NOT NULL,
	host VARCHAR(255) NOT NULL,
	availability_zone VARCHAR(255),
	image_id VARCHAR(64) NOT NULL,
	image TEXT NOT NULL,
	flavor TEXT NOT NULL,
	keypair TEXT,
	user_data TEXT,
	config_drive BOOLEAN NOT NULL,
	metadata TEXT NOT NULL,
	auto_disk_config BOOLEAN NOT NULL,
	access_ip_v4 VARCHAR(255),
	access_ip_v6 VARCHAR(255),
	locked_by VARCHAR(255),
	locked_reason TEXT,
	progress INTEGER NOT NULL,
	launch_index INTEGER NOT NULL,
	reservation_id VARCHAR(64) NOT NULL,
	root_device_name VARCHAR(255) NOT NULL,
	scheduler_hints TEXT NOT NULL,
	trusted_certs TEXT,
	group_id VARCHAR(64),
	fault TEXT,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	launched_at DATETIME,
	terminated_at DATETIME,
	deleted_at DATETIME,
	PRIMARY KEY (id)
);

CREATE INDEX compute_server_host ON compute_server (host);

CREATE INDEX compute_server_member ON compute_server (group_id);

CREATE INDEX compute_server_project ON compute_server (project_id, deleted_at);

CREATE INDEX compute_server_updated ON compute_server (updated_at);

CREATE TABLE compute_server_group (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	policy VARCHAR(255) NOT NULL,
	rules TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX compute_server_group_project ON compute_server_group (project_id);

CREATE TABLE compute_action (
	id VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	action VARCHAR(255) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	message TEXT,
	start_time DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT compute_action_request UNIQUE (server_id, request_id),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);

CREATE INDEX compute_action_server ON compute_action (server_id, start_time);

CREATE TABLE compute_device (
	id VARCHAR(64) NOT NULL,
	server_id VARCHAR(64) NOT NULL,
	source_type VARCHAR(255) NOT NULL,
	source_id VARCHAR(64),
	destination_type VARCHAR(255) NOT NULL,
	volume_id VARCHAR(64),
	attachment_id VARCHAR(64),
	boot_index INTEGER,
	device_name VARCHAR(255) NOT NULL,
	volume_size INTEGER,
	volume_type VARCHAR(255),
	delete_on_termination BOOLEAN NOT NULL,
	guest_format VARCHAR(255),
	tag VARCHAR(255),
	attached BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);

CREATE INDEX compute_device_server ON compute_device (server_id);

CREATE INDEX compute_device_volume ON compute_device (volume_id);

CREATE TABLE compute_flavor_access (
	flavor_id VARCHAR(255) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	PRIMARY KEY (flavor_id, project_id),
	FOREIGN KEY(flavor_id) REFERENCES compute_flavor (id) ON DELETE CASCADE
);

CREATE TABLE compute_server_tag (
	server_id VARCHAR(64) NOT NULL,
	tag VARCHAR(255) NOT NULL,
	PRIMARY KEY (server_id, tag),
	FOREIGN KEY(server_id) REFERENCES compute_server (id) ON DELETE CASCADE
);

CREATE TABLE compute_action_event (
	id VARCHAR(64) NOT NULL,
	action_id VARCHAR(64) NOT NULL,
	event VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	start_time DATETIME NOT NULL,
	finish_time DATETIME,
	result VARCHAR(255),
	details TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(action_id) REFERENCES compute_action (id) ON DELETE CASCADE
);

CREATE INDEX compute_action_event_action ON compute_action_event (action_id);
