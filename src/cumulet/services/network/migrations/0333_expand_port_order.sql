CREATE INDEX network_port_created ON network_port (created_at, id);
