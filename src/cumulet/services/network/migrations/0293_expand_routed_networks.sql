ALTER TABLE network_subnet ADD COLUMN segment_id VARCHAR(36);
ALTER TABLE network_port ADD COLUMN ip_allocation VARCHAR(16) DEFAULT 'immediate' NOT NULL;

CREATE INDEX network_subnet_segment ON network_subnet (segment_id);
