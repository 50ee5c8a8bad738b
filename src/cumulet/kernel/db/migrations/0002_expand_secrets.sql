CREATE TABLE kernel_secret (
	name VARCHAR(255) NOT NULL,
	sealed TEXT NOT NULL,
	changed_at FLOAT NOT NULL,
	PRIMARY KEY (name)
);
