ALTER TABLE network_port ADD COLUMN numa_affinity_policy VARCHAR(64);
ALTER TABLE network_port ADD COLUMN device_profile VARCHAR(255);
ALTER TABLE network_port ADD COLUMN hints TEXT;
ALTER TABLE network_port ADD COLUMN hardware_offload_type VARCHAR(255);
ALTER TABLE network_port ADD COLUMN trusted BOOLEAN;
ALTER TABLE network_port ADD COLUMN data_plane_status VARCHAR(16);
ALTER TABLE network_port ADD COLUMN propagate_uplink_status BOOLEAN DEFAULT true NOT NULL;
