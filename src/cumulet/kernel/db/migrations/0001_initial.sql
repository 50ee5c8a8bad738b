CREATE TABLE kernel_lease (
	name VARCHAR(255) NOT NULL,
	owner VARCHAR(255) NOT NULL,
	until FLOAT NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE kernel_migration (
	service VARCHAR(64) NOT NULL,
	number INTEGER NOT NULL,
	name VARCHAR(255) NOT NULL,
	applied_at FLOAT NOT NULL,
	PRIMARY KEY (service, number)
);

CREATE TABLE kernel_outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	topic VARCHAR(255) NOT NULL,
	payload TEXT NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	created_at FLOAT NOT NULL
);

CREATE TABLE kernel_saga (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	flow VARCHAR(128) NOT NULL,
	subject VARCHAR(128) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	args TEXT NOT NULL,
	state TEXT NOT NULL,
	status VARCHAR(16) NOT NULL,
	step INTEGER NOT NULL,
	cancelled BOOLEAN NOT NULL,
	error TEXT,
	attempts INTEGER NOT NULL,
	wake_at FLOAT NOT NULL,
	step_since FLOAT NOT NULL,
	owner VARCHAR(255),
	lease_until FLOAT NOT NULL,
	fence INTEGER NOT NULL,
	created_at FLOAT NOT NULL,
	finished_at FLOAT
);

CREATE INDEX kernel_saga_open ON kernel_saga (finished_at, wake_at);

CREATE INDEX kernel_saga_subject ON kernel_saga (subject);
