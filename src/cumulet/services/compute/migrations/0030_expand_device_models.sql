ALTER TABLE compute_device ADD COLUMN disk_bus VARCHAR(255);
ALTER TABLE compute_device ADD COLUMN device_type VARCHAR(255);
