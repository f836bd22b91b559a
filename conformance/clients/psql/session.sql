-- A short session as a file: variables, conditions, the description of a result, several statements.
\set threshold 5
CREATE TABLE from_file AS SELECT value AS id FROM generate_series(1, 8) AS g(value);
SELECT count(*) AS large FROM from_file WHERE id > :threshold \gset
\if :{?large}
  \echo large :large
\endif
SELECT price FROM sales.orders \gdesc
DROP TABLE from_file;
