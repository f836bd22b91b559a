-- Tables for other engines to read: every transform, both format versions, deletes, evolved columns and partitions.
CREATE SCHEMA shared;

CREATE TABLE shared.three PARTITIONED BY (bucket(4, id), truncate(3, name)) WITH (format_version = 3) AS
  SELECT value AS id, 'name ' || (value % 7)::text AS name, DATE '1969-12-25' + (value % 20)::int AS on_day
  FROM generate_series(1, 500) AS g(value);
