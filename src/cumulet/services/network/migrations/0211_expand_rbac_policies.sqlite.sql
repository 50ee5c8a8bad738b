-- Policies that let projects use what others own. The objects' own columns say as much of them as lists need: `shared`
-- (with everybody), `granted` (somebody is named), `limited` (external, and not for everybody).
CREATE TABLE network_rbac_policy (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	object_type VARCHAR(32) NOT NULL,
	object_id VARCHAR(36) NOT NULL,
	action VARCHAR(32) NOT NULL,
	target_project VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_rbac_policy_project ON network_rbac_policy (project_id);

CREATE INDEX network_rbac_policy_target ON network_rbac_policy (target_project);

CREATE UNIQUE INDEX network_rbac_policy_object ON network_rbac_policy (object_id, action, target_project);

ALTER TABLE network_network ADD COLUMN granted BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_network ADD COLUMN limited BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_subnet_pool ADD COLUMN granted BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_security_group ADD COLUMN shared BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_security_group ADD COLUMN granted BOOLEAN NOT NULL DEFAULT false;

INSERT INTO network_rbac_policy (id, project_id, object_type, object_id, action, target_project, created_at)
SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)),
	project_id, 'network', id, 'access_as_shared', '*', created_at
FROM (SELECT hex(randomblob(16)) AS h, id, project_id, created_at FROM network_network WHERE shared);

INSERT INTO network_rbac_policy (id, project_id, object_type, object_id, action, target_project, created_at)
SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)),
	project_id, 'network', id, 'access_as_external', '*', created_at
FROM (SELECT hex(randomblob(16)) AS h, id, project_id, created_at FROM network_network WHERE external);

INSERT INTO network_rbac_policy (id, project_id, object_type, object_id, action, target_project, created_at)
SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)),
	project_id, 'subnetpool', id, 'access_as_shared', '*', created_at
FROM (SELECT hex(randomblob(16)) AS h, id, project_id, created_at FROM network_subnet_pool WHERE shared);
