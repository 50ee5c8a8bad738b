CREATE TABLE kernel_host (
	name VARCHAR(255) NOT NULL,
	fingerprint VARCHAR(64),
	fingerprint_before VARCHAR(64),
	certificate_until FLOAT,
	revoked BOOLEAN NOT NULL,
	joined_at FLOAT NOT NULL,
	generation INTEGER NOT NULL,
	replica VARCHAR(255),
	parting VARCHAR(255),
	connected_at FLOAT,
	reported_at FLOAT,
	seen_at FLOAT NOT NULL,
	version VARCHAR(64) NOT NULL,
	capabilities TEXT NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE kernel_join_token (
	hash VARCHAR(64) NOT NULL,
	host VARCHAR(255),
	created_at FLOAT NOT NULL,
	expires_at FLOAT NOT NULL,
	used_at FLOAT,
	PRIMARY KEY (hash)
);

CREATE TABLE kernel_replica (
	name VARCHAR(255) NOT NULL,
	address VARCHAR(255) NOT NULL,
	beat BIGINT NOT NULL,
	started_at FLOAT NOT NULL,
	PRIMARY KEY (name)
);
