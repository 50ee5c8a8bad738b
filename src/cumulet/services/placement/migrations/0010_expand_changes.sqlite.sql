-- Who has changed since a moment: triggers, so that the release before this one, and an operator's hand, tell it too.
CREATE TABLE placement_change (
	provider_uuid VARCHAR(36) NOT NULL,
	number BIGINT NOT NULL,
	PRIMARY KEY (provider_uuid)
);

CREATE INDEX placement_change_number ON placement_change (number);

CREATE VIEW placement_moment AS
SELECT '|' || (coalesce(max(number), 0) + 1) || '|' AS moment FROM placement_change;

CREATE TRIGGER placement_provider_added AFTER INSERT ON placement_provider BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_changed AFTER UPDATE OF name, parent_uuid, root_uuid ON placement_provider BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_removed AFTER DELETE ON placement_provider BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (old.uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_inventory_added AFTER INSERT ON placement_inventory BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_inventory_changed AFTER UPDATE ON placement_inventory BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_inventory_removed AFTER DELETE ON placement_inventory BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (old.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_trait_added AFTER INSERT ON placement_provider_trait BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_trait_changed AFTER UPDATE ON placement_provider_trait BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_trait_removed AFTER DELETE ON placement_provider_trait BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (old.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_aggregate_added AFTER INSERT ON placement_provider_aggregate BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_aggregate_changed AFTER UPDATE ON placement_provider_aggregate BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_provider_aggregate_removed AFTER DELETE ON placement_provider_aggregate BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (old.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_allocation_added AFTER INSERT ON placement_allocation BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_allocation_changed AFTER UPDATE ON placement_allocation BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (new.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;

CREATE TRIGGER placement_allocation_removed AFTER DELETE ON placement_allocation BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	VALUES (old.provider_uuid, coalesce((SELECT max(number) FROM placement_change), 0) + 1)
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number; END;
